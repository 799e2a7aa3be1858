"""Conversations as decisions: whatever is recorded adds up, and the record stays small."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from protobuf.wkt import Timestamp

from ameide.contracts.usage import tokens_of
from ameide.domain.decisions.conversation import MAX_SOURCES, attach, need_own, need_part, open_conversation, progress
from ameide.errors import PermissionDenied, Refused
from ameide_core_proto.common.v1.metadata_pb import Actor, Scope
from ameide_core_proto.transformation.governance.v1.conversation_service_pb import (
    OpenConversationRequest,
    RecordConversationProgressRequest,
)
from ameide_core_proto.transformation.governance.v1.governance_pb import Change, Conversation, UntrustedSource
from ameide_core_proto.transformation.work.v1.work_pb import Usage

ACTOR = Actor(principal_id="architect", on_behalf_of="rita")
NOW = Timestamp(seconds=1)
PARTS = st.lists(
    st.builds(
        RecordConversationProgressRequest,
        usage=st.builds(
            Usage,
            input_tokens=st.integers(0, 10**9),
            output_tokens=st.integers(0, 10**9),
            cost_micros=st.integers(0, 9),
        ),
        untrusted_sources=st.lists(
            st.builds(UntrustedSource, ref=st.sampled_from(["a", "b", "ü" * 900, "c"])), max_size=4
        ),
        begins_turn=st.booleans(),
        asks_model=st.booleans(),
    ),
    max_size=12,
)


def conversation(change: Change | None = None) -> Conversation:
    """A new one."""
    command = OpenConversationRequest(title="Can an order be canceled?")
    opened = open_conversation(command, "cnv-1", change, Scope(tenant_id="default"), ACTOR, NOW).conversation
    assert opened is not None
    return opened


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PARTS)
def test_every_part_is_counted_and_no_version_is_left_out(parts: list[RecordConversationProgressRequest]) -> None:
    state, before = conversation(), conversation().to_binary()
    facts = 0
    for part in parts:
        fact = progress(state, part, NOW)
        if fact is None:
            assert (part.usage or Usage()) == Usage()
            assert not part.untrusted_sources
            continue
        facts += 1
        assert fact.conversation is not None
        state = fact.conversation
    used = state.usage or Usage()
    assert state.version == 1 + facts
    assert tokens_of(used) == sum(tokens_of(part.usage) for part in parts if part.usage)
    assert used.cost_micros == sum(part.usage.cost_micros for part in parts if part.usage)
    assert state.turns == sum(part.begins_turn for part in parts)
    assert state.untrusted_count == len({source.ref for part in parts for source in part.untrusted_sources})
    assert conversation().to_binary() == before


def test_the_record_stays_small_however_much_is_read() -> None:
    state = conversation()
    for turn in range(40):
        sources = [UntrustedSource(ref=f"{turn}/{place}:" + "ü" * 1000) for place in range(100)]
        fact = progress(state, RecordConversationProgressRequest(untrusted_sources=sources), NOW)
        assert fact is not None
        assert fact.conversation is not None
        state = fact.conversation
    assert (len(state.untrusted_sources), state.untrusted_count) == (MAX_SOURCES, 4000)
    assert len(state.to_binary()) < 4096


@pytest.mark.parametrize(
    ("actor", "owns", "takes_part"),
    [
        (ACTOR, True, True),
        (Actor(principal_id="rita"), False, True),
        (Actor(principal_id="anna"), False, False),
        (Actor(principal_id="architect"), False, False),
        (Actor(principal_id="architect", on_behalf_of="anna"), False, False),
        (Actor(principal_id="another", on_behalf_of="rita"), False, False),
        (Actor(principal_id="rita", on_behalf_of="rita"), False, False),
    ],
)
def test_it_is_moved_on_by_the_pair_that_opened_it_and_attached_by_the_person_too(
    actor: Actor, owns: bool, takes_part: bool
) -> None:
    for need, allowed in ((need_own, owns), (need_part, takes_part)):
        if allowed:
            need(conversation(), actor)
        else:
            with pytest.raises(PermissionDenied):
                need(conversation(), actor)


def test_it_is_about_one_change_for_ever() -> None:
    first, second = (Change(change_id=id, repository_id="orders") for id in ("chg-1", "chg-2"))
    fact = attach(conversation(), first)
    assert fact is not None
    assert fact.conversation is not None
    assert fact.conversation.change_id == "chg-1"
    assert attach(fact.conversation, first) is None
    with pytest.raises(Refused):
        attach(fact.conversation, second)
    with pytest.raises(Refused):
        attach(conversation(first), second)
