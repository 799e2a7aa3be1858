"""What an agent does for a person, on the real database: one command, agreed to by that person, done once."""

from __future__ import annotations

import asyncio
from copy import deepcopy

import pytest

from ameide.errors import Conflict, InvalidArgument, NotFound, PermissionDenied, Refused
from ameide.rpc.interceptors import Caller
from ameide_core_proto.common.v1.metadata_pb import Actor
from ameide_core_proto.transformation.governance.v1 import command_service_pb as governance
from ameide_core_proto.transformation.governance.v1.governance_pb import Consent, ConsentStatus, GateStatus
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.knowledge.v1 import command_service_pb as kb
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import ArtifactContent, ArtifactKind, Provenance
from ameide_core_proto.transformation.work.v1 import command_service_pb as wb
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, WorkInputs, WorkKind
from tests.domain.consenting import Effect, Effected, agreed, answer, ask, conversation_of, send
from tests.domain.saying import decide, names, person
from tests.domain.talking import FOR_RITA, acting_for
from tests.domain_work.gates import open_gate
from tests.domain_work.world import BASE, DIFF, HEAD, World, key

RITA, EVE = person("rita", "viewer", "requester"), person("eve", "viewer", "requester", "admin")
ARCHITECT = Caller("default", "architect", "AGENT", frozenset({"viewer", "requester"}))


def opening(title: str = "Cancel an order", again: str = "") -> governance.OpenChangeRequest:
    """A change to open."""
    return governance.OpenChangeRequest(client_request_id=again or key(), repository_id="orders", title=title)


def with_consent(command: Effect, consent: Consent) -> Effect:
    """A copy that names the consent."""
    sent = deepcopy(command)
    sent.consent_id = consent.consent_id
    return sent


async def given(world: World, command: Effect, by: Caller = FOR_RITA) -> Consent:
    """Asked for a command, and agreed to."""
    return await answer(world, await ask(world, by, command), person(by.on_behalf_of))


async def refusal(world: World, command: Effect, by: Caller = FOR_RITA) -> str:
    """Why a command is refused. Nothing is written then."""
    before = names(world)
    with pytest.raises((Refused, PermissionDenied, InvalidArgument)) as refused:
        await send(world, by, command)
    assert names(world) == before
    assert refused.value.field == "consent_id"
    assert refused.value.remedy
    return refused.value.reason


def stored(world: World, consent: Consent) -> Consent:
    """The consent as it is stored."""
    [row] = world.sql("SELECT state FROM ameide.aggregate WHERE kind = 'consent' AND id = %s", consent.consent_id)
    assert isinstance(row["state"], bytes)
    return Consent.from_binary(row["state"])


async def test_every_effect_for_a_person_needs_their_consent_and_uses_it_up(world: World) -> None:
    await world.register()

    async def done(command: Effect) -> Effected:
        assert await refusal(world, command) == "CONSENT_REQUIRED"
        consent = await given(world, command)
        effected = await send(world, FOR_RITA, with_consent(command, consent))
        used = stored(world, consent)
        assert (used.status, used.used_by) == (ConsentStatus.USED, command.client_request_id)
        again = with_consent(command, consent)
        again.client_request_id = key()
        assert await refusal(world, again) == "CONSENT_USED"
        return effected

    conversation_id = await conversation_of(world, FOR_RITA)
    change = opening()
    change.conversation_id = conversation_id
    opened = await done(change)
    assert isinstance(opened, governance.OpenChangeResponse)
    assert opened.change is not None
    assert opened.change.requester == Actor(principal_id="architect", on_behalf_of="rita")
    change_id, content = opened.change.change_id, ArtifactContent(title="Cancel", text="One", acceptance_criteria=["x"])
    said = Provenance(conversation_id=conversation_id)
    proposed = await done(
        kb.ProposeArtifactRequest(
            client_request_id=key(),
            change_id=change_id,
            kind=ArtifactKind.REQUIREMENT,
            content=content,
            provenance=said,
        )
    )
    assert isinstance(proposed, kb.ProposeArtifactResponse)
    assert proposed.artifact is not None
    artifact_id = proposed.artifact.artifact_id
    content.text = "Two"
    await done(
        kb.ReviseArtifactRequest(
            client_request_id=key(), artifact_id=artifact_id, expected_number=1, content=content, provenance=said
        )
    )
    await done(kb.SubmitArtifactRequest(client_request_id=key(), artifact_id=artifact_id, expected_number=2))
    asked = await done(
        wb.RequestWorkRequest(
            client_request_id=key(),
            change_id=change_id,
            repository_id="orders",
            work_kind=WorkKind.AGENT_WORK,
            action_kind=ActionKind.ANALYZE,
            commit_sha=BASE,
            inputs=WorkInputs(question="Where are orders canceled?"),
        )
    )
    assert isinstance(asked, wb.RequestWorkResponse)
    assert asked.work is not None
    assert asked.work.requested_by is not None
    assert asked.work.requested_by.actor == Actor(principal_id="architect", on_behalf_of="rita")
    started = await done(
        governance.StartRunRequest(
            client_request_id=key(), change_id=change_id, artifact_id=artifact_id, expected_number=2
        )
    )
    assert isinstance(started, governance.StartRunResponse)
    assert started.run is not None
    # Whom the agent acted for does not decide on it, and neither does the agent.
    gate = await open_gate(world, started.run, GateKind.ACCEPTANCE, commit_sha=HEAD, diff_hash=DIFF)
    with pytest.raises(PermissionDenied) as own:
        await decide(world, gate, person("rita", "approver"))
    assert own.value.reason == "SELF_APPROVAL"
    with pytest.raises(PermissionDenied) as represented:
        await decide(world, gate, acting_for("anna"))
    assert represented.value.reason == "NOT_FOR_OTHERS"
    assert (await decide(world, gate, person("anna", "approver"))).status == GateStatus.APPROVED


async def test_the_change_that_it_opened_is_named_by_what_was_used(world: World) -> None:
    await world.register()
    command = opening()
    consent = await given(world, command)
    opened = await send(world, FOR_RITA, with_consent(command, consent))
    assert isinstance(opened, governance.OpenChangeResponse)
    assert opened.change is not None
    assert stored(world, consent).change_id == opened.change.change_id


async def test_another_command_than_the_one_agreed_to_is_refused(world: World) -> None:
    await world.register()
    command = opening()
    consent = await given(world, command)
    other = deepcopy(command)
    other.title = "Delete every order"
    assert await refusal(world, with_consent(other, consent)) == "CONSENT_MISMATCH"
    elsewhere = deepcopy(command)
    elsewhere.conversation_id = "cnv-other"
    assert await refusal(world, with_consent(elsewhere, consent)) == "CONSENT_MISMATCH"
    started = governance.StartRunRequest(
        client_request_id=key(), change_id="chg-1", artifact_id="art-1", expected_number=1
    )
    assert await refusal(world, with_consent(started, consent)) == "CONSENT_MISMATCH"
    # The hash of another kind of command does not help either.
    submit = kb.SubmitArtifactRequest(client_request_id=key(), artifact_id="art-1", expected_number=1)
    propose = await given(world, submit)
    world.sql(
        "UPDATE ameide.aggregate SET state = %s WHERE id = %s",
        _as_action(stored(world, propose), command).to_binary(),
        propose.consent_id,
    )
    assert await refusal(world, with_consent(submit, propose)) == "CONSENT_MISMATCH"
    assert stored(world, consent).status == ConsentStatus.GIVEN
    await send(world, FOR_RITA, with_consent(command, consent))


def _as_action(consent: Consent, command: Effect) -> Consent:
    changed = deepcopy(consent)
    assert isinstance(command, governance.OpenChangeRequest)
    changed.action = type(changed.action).OPEN_CHANGE
    return changed


async def test_the_same_command_again_is_a_replay_and_under_another_key_a_second_effect(world: World) -> None:
    await world.register()
    command = opening()
    sent = with_consent(command, await given(world, command))
    first, again = await send(world, FOR_RITA, sent), await send(world, FOR_RITA, deepcopy(sent))
    assert isinstance(first, governance.OpenChangeResponse)
    assert isinstance(again, governance.OpenChangeResponse)
    assert (first.idempotent_replay, again.idempotent_replay) == (False, True)
    assert again.change == first.change
    assert names(world).count("ChangeOpened") == names(world).count("ConsentUsed") == 1
    # Nor is the answer somebody else's: of the agent's for another person, or of the agent's own.
    for by in (acting_for("eve"), ARCHITECT, RITA):
        with pytest.raises(Conflict) as taken:
            await send(world, by, deepcopy(sent))
        assert taken.value.reason == "IDEMPOTENCY_KEY_REUSED"


async def test_of_two_effects_at_once_one_has_the_consent(world: World) -> None:
    await world.register()
    command = opening()
    consent = await given(world, command)
    sent = [with_consent(command, consent) for _ in range(5)]
    for one in sent[1:4]:
        one.client_request_id = key()
    done = await asyncio.gather(*(send(world, FOR_RITA, one) for one in sent), return_exceptions=True)
    refused = [one for one in done if isinstance(one, Refused)]
    answered = [one for one in done if isinstance(one, governance.OpenChangeResponse)]
    assert len(refused) + len(answered) == 5
    assert {one.reason for one in refused} == {"CONSENT_USED"}
    # Either the key that came twice, then one of them is a replay, or one of the others.
    assert len({one.change.change_id for one in answered if one.change}) == 1
    assert sum(not one.idempotent_replay for one in answered) == 1
    assert names(world).count("ChangeOpened") == names(world).count("ConsentUsed") == 1


async def test_an_effect_that_is_refused_uses_nothing_up(world: World) -> None:
    await world.register()
    command = kb.SubmitArtifactRequest(client_request_id=key(), artifact_id="art-none", expected_number=1)
    consent = await given(world, command)
    for _ in range(2):
        with pytest.raises(NotFound):
            await send(world, FOR_RITA, with_consent(command, consent))
    assert stored(world, consent).status == ConsentStatus.GIVEN


async def test_what_nobody_could_know_or_should_ask_for_is_refused_though_it_was_agreed_to(world: World) -> None:
    await world.register()
    change_id = (await world.open_change()).change_id
    newest = governance.StartRunRequest(client_request_id=key(), change_id=change_id)
    with pytest.raises(InvalidArgument) as unnamed:
        await send(world, FOR_RITA, await agreed(world, FOR_RITA, newest))
    assert unnamed.value.field == "artifact_id"
    for kind, action in ((WorkKind.AGENT_WORK, ActionKind.PUBLISH), (WorkKind.TOOL_RUN, ActionKind.VERIFY)):
        work = wb.RequestWorkRequest(
            client_request_id=key(),
            change_id=change_id,
            repository_id="orders",
            work_kind=kind,
            action_kind=action,
            base_sha=BASE,
            commit_sha=BASE,
        )
        with pytest.raises(PermissionDenied) as refused:
            await send(world, FOR_RITA, await agreed(world, FOR_RITA, work))
        assert (refused.value.reason, refused.value.field) == ("NOT_FOR_OTHERS", "action_kind")
    assert world.sql("SELECT 1 FROM ameide.work") == []


async def test_only_the_person_who_is_asked_answers_and_for_themselves(world: World) -> None:
    await world.register()
    consent = await ask(world, FOR_RITA, opening())
    for by, reason in (
        (EVE, "NOT_YOUR_CONSENT"),
        (ARCHITECT, "PEOPLE_ONLY"),
        (Caller("default", "rita", "AGENT", frozenset({"requester"})), "PEOPLE_ONLY"),
        (Caller("default", "rita", "SERVICE", frozenset({"admin"})), "PEOPLE_ONLY"),
        (FOR_RITA, "NOT_FOR_OTHERS"),
    ):
        with pytest.raises(PermissionDenied) as refused:
            await answer(world, consent, by)
        assert refused.value.reason == reason
    with pytest.raises(NotFound):
        await answer(world, consent, Caller("acme", "rita", "PERSON", frozenset({"admin"})))
    assert stored(world, consent).status == ConsentStatus.ASKED
    assert (await answer(world, consent, RITA)).decided_by == Actor(principal_id="rita")


async def test_an_answer_is_about_what_was_seen_and_given_once(world: World) -> None:
    await world.register()
    command, again = opening(), key()
    consent = await ask(world, FOR_RITA, command)
    with pytest.raises(Refused) as seen:
        await answer(world, consent, RITA, seen="0" * 64)
    assert seen.value.reason == "SUBJECT_CHANGED"
    first = await answer(world, consent, RITA, again=again)
    assert await answer(world, consent, RITA, again=again) == first
    with pytest.raises(Refused) as twice:
        await answer(world, consent, RITA)
    assert twice.value.reason == "CONSENT_GIVEN"
    # It may be taken back until it is used.
    assert (await answer(world, consent, RITA, agree=False)).status == ConsentStatus.DECLINED
    assert await refusal(world, with_consent(command, consent)) == "CONSENT_DECLINED"
    with pytest.raises(Refused) as declined:
        await answer(world, consent, RITA)
    assert declined.value.reason == "CONSENT_DECLINED"


async def test_what_was_used_is_not_taken_back(world: World) -> None:
    await world.register()
    command = opening()
    consent = await given(world, command)
    await send(world, FOR_RITA, with_consent(command, consent))
    with pytest.raises(Refused) as refused:
        await answer(world, consent, RITA, agree=False)
    assert refused.value.reason == "CONSENT_USED"


async def test_a_consent_ends_by_the_clock_of_the_domain(world: World) -> None:
    await world.register()
    command = opening()
    asked, agreed_to = await ask(world, FOR_RITA, command, seconds=60), await given(world, command)
    for consent in (asked, agreed_to):
        late = stored(world, consent)
        assert late.asked_at is not None
        late.expires_at = late.asked_at
        world.sql("UPDATE ameide.aggregate SET state = %s WHERE id = %s", late.to_binary(), late.consent_id)
    with pytest.raises(Refused) as refused:
        await answer(world, asked, RITA)
    assert refused.value.reason == "CONSENT_EXPIRED"
    assert await refusal(world, with_consent(command, agreed_to)) == "CONSENT_EXPIRED"
    assert (await answer(world, asked, RITA, agree=False)).status == ConsentStatus.DECLINED


async def test_nobody_elses_consent_and_none_that_was_not_given(world: World) -> None:
    await world.register()
    command = opening()
    asked = await ask(world, FOR_RITA, command)
    assert await refusal(world, with_consent(command, asked)) == "CONSENT_NOT_GIVEN"
    consent = await given(world, command)
    assert await refusal(world, with_consent(command, consent), acting_for("eve")) == "NOT_YOUR_CONSENT"
    assert await refusal(world, with_consent(command, consent), acting_for("rita", agent="eliza")) == "NOT_YOUR_CONSENT"
    # Who acts for nobody needs none, and cannot use up what others were asked for.
    assert await refusal(world, with_consent(command, consent), RITA) == ""
    assert await refusal(world, with_consent(command, consent), ARCHITECT) == ""
    with pytest.raises(NotFound):
        await send(world, acting_for("rita", tenant="acme"), with_consent(command, consent))
    missing = deepcopy(command)
    missing.consent_id = "cns-none"
    with pytest.raises(NotFound):
        await send(world, FOR_RITA, missing)
    await send(world, FOR_RITA, with_consent(command, consent))


async def test_an_agent_asks_in_its_own_conversation_with_that_person(world: World) -> None:
    await world.register()
    conversation_id = await conversation_of(world, FOR_RITA)
    for by in (acting_for("eve"), acting_for("rita", agent="eliza")):
        with pytest.raises(PermissionDenied) as refused:
            await ask(world, by, opening(), conversation_id=conversation_id)
        assert refused.value.reason == "NOT_YOUR_CONVERSATION"
    for by in (RITA, ARCHITECT):
        with pytest.raises(PermissionDenied) as alone:
            await ask(world, by, opening(), conversation_id=conversation_id)
        assert alone.value.reason == "AGENT_ONLY"
    again, command = key(), opening()
    first = await ask(world, FOR_RITA, command, conversation_id=conversation_id, again=again)
    assert await ask(world, FOR_RITA, command, conversation_id=conversation_id, again=again) == first
    assert names(world).count("ConsentAsked") == 1


async def test_calls_of_ones_own_need_none(world: World) -> None:
    await world.register()
    for by in (RITA, ARCHITECT):
        assert isinstance(await send(world, by, await agreed(world, by, opening())), governance.OpenChangeResponse)
