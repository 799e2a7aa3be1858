"""Consents in every order of asking, answering and sending: an effect only by what the person agreed to, once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from protobuf.wkt import Timestamp

from ameide.contracts.subjects import command_hash
from ameide.domain.decisions.consent import EXPIRES_AFTER_SECONDS, ask, decide, need_for_others, need_given, use
from ameide.errors import AmeideError, PermissionDenied
from ameide_core_proto.common.v1.metadata_pb import Actor, Scope
from ameide_core_proto.transformation.governance.v1.command_service_pb import OpenChangeRequest, StartRunRequest
from ameide_core_proto.transformation.governance.v1.conversation_service_pb import (
    AskConsentRequest,
    DecideConsentRequest,
)
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    Consent,
    ConsentAction,
    ConsentStatus,
    Conversation,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
HASHES = ("a" * 64, "b" * 64)
PEOPLE, AGENTS = ("rita", "eve"), ("architect", "eliza")
LIFE = 100


def at(seconds: int) -> Timestamp:
    return Timestamp.from_datetime(START + timedelta(seconds=seconds))


def asked(seconds: int = LIFE) -> Consent:
    command = AskConsentRequest(
        action=ConsentAction.OPEN_CHANGE, summary="do it", subject_hash=HASHES[0], expires_after_seconds=seconds
    )
    actor = Actor(principal_id="architect", on_behalf_of="rita")
    fact = ask(command, "cns-1", Conversation(conversation_id="cnv-1"), Scope(), actor, at(0))
    assert fact.consent is not None
    return fact.consent


@dataclass(frozen=True)
class Answered:
    by: str
    for_whom: str
    kind: str
    agree: bool
    seen: str


@dataclass(frozen=True)
class Sent:
    by: str
    for_whom: str
    action: ConsentAction
    subject_hash: str


answers = st.builds(
    Answered,
    st.sampled_from(PEOPLE),
    st.sampled_from(("", "rita")),
    st.sampled_from(("PERSON", "AGENT", "SERVICE")),
    st.booleans(),
    st.sampled_from(HASHES),
)
sendings = st.builds(
    Sent,
    st.sampled_from((*AGENTS, "rita")),
    st.sampled_from((*PEOPLE, "")),
    st.sampled_from((ConsentAction.OPEN_CHANGE, ConsentAction.START_RUN)),
    st.sampled_from(HASHES),
)
# Most of what is said is in order, so that the long ways are walked as well.
fair = st.sampled_from(
    (
        Answered("rita", "", "PERSON", agree=True, seen=HASHES[0]),
        Answered("rita", "", "PERSON", agree=False, seen=HASHES[0]),
        Sent("architect", "rita", ConsentAction.OPEN_CHANGE, HASHES[0]),
    )
)
steps = st.lists(st.tuples(st.integers(0, 40), fair | answers | sendings), max_size=8)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_an_effect_follows_the_persons_word_once_and_in_time(said: list[tuple[int, Answered | Sent]]) -> None:
    consent, now, agreed, effects = asked(), 0, False, 0
    for waited, step in said:
        now += waited
        before = consent.to_binary()
        try:
            if isinstance(step, Answered):
                actor = Actor(principal_id=step.by, on_behalf_of=step.for_whom)
                command = DecideConsentRequest(agree=step.agree, subject_hash=step.seen)
                changed = decide(consent, command, actor, step.kind, at(now)).consent
            else:
                actor = Actor(principal_id=step.by, on_behalf_of=step.for_whom)
                need_given(consent, step.action, step.subject_hash, actor, at(now))
                changed = use(consent, "key", "chg-1").consent
        except AmeideError:
            assert consent.to_binary() == before
            continue
        assert changed is not None
        assert changed.version == consent.version + 1
        assert consent.to_binary() == before
        if isinstance(step, Answered):
            # Nobody but the person, about nothing but what was asked.
            assert (step.by, step.for_whom, step.kind, step.seen) == ("rita", "", "PERSON", HASHES[0])
            assert effects == 0
            assert now < LIFE or not step.agree
            agreed = step.agree
        else:
            assert (step.by, step.for_whom) == ("architect", "rita")
            assert (step.action, step.subject_hash) == (ConsentAction.OPEN_CHANGE, HASHES[0])
            assert agreed
            assert now < LIFE
            effects += 1
        consent = changed
    assert effects <= 1
    assert (consent.status == ConsentStatus.USED) == (effects == 1)


def test_without_a_time_it_holds_a_day() -> None:
    consent = asked(0)
    assert consent.expires_at == at(EXPIRES_AFTER_SECONDS)


def test_the_hash_is_of_the_command_and_not_of_its_way() -> None:
    command = OpenChangeRequest(client_request_id="one", repository_id="orders", title="Cancel an order")
    sent = OpenChangeRequest(
        scope=Scope(tenant_id="default"),
        client_request_id="two",
        repository_id="orders",
        title="Cancel an order",
        consent_id="cns-1",
    )
    assert command_hash(command) == command_hash(sent)
    for name, value in (("repository_id", "other"), ("title", "Cancel an order "), ("conversation_id", "cnv-1")):
        other = OpenChangeRequest.from_binary(sent.to_binary())
        setattr(other, name, value)
        assert command_hash(other) != command_hash(sent)
    assert command_hash(OpenChangeRequest()) != command_hash(StartRunRequest())


@pytest.mark.parametrize("name", ["DecideGate", "DecideConsent", "CancelWork", "IssueToken", "RecordWorkOutcome", ""])
def test_what_is_not_listed_is_said_for_nobody(name: str) -> None:
    need_for_others("", name)
    with pytest.raises(PermissionDenied) as refused:
        need_for_others("rita", name)
    assert refused.value.reason == "NOT_FOR_OTHERS"
