"""At-least-once, in any order across aggregates: what the run has heard."""

import itertools

from hypothesis import given
from hypothesis import strategies as st
from protobuf import Message, Oneof

from ameide.process.workflows.inbox import Inbox
from ameide_core_proto.common.v1.metadata_pb import AggregateRef, MessageMetadata
from ameide_core_proto.transformation.governance.v1.facts_pb import (
    GateDecided,
    GateVoteRecorded,
    PolicyAdopted,
    TransformationGovernanceDomainFact,
)
from ameide_core_proto.transformation.governance.v1.governance_pb import Gate, GateStatus
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.work.v1.facts_pb import (
    TransformationWorkDomainFact,
    WorkCompleted,
    WorkRequested,
    WorkStarted,
)
from ameide_core_proto.transformation.work.v1.work_pb import WorkRequest, WorkStatus

STATUSES = [WorkStatus.REQUESTED, WorkStatus.STARTED, WorkStatus.SUCCEEDED]


def work_fact(version: int, message_id: str = "") -> TransformationWorkDomainFact:
    work = WorkRequest(work_request_id="wrk-1", status=STATUSES[version - 1], version=version)
    bodies: list[Message] = [WorkRequested(work=work), WorkStarted(work=work), WorkCompleted(work=work)]
    fields = ["work_requested", "work_started", "work_completed"]
    fact: Oneof[str, Message] = Oneof(field=fields[version - 1], value=bodies[version - 1])
    return TransformationWorkDomainFact(
        metadata=MessageMetadata(message_id=message_id or f"m{version}"),
        aggregate=AggregateRef(type="work", id="wrk-1", version=version),
        fact=fact,  # pyright: ignore[reportArgumentType]
    )


def gate_fact(
    body: GateVoteRecorded | GateDecided, message_id: str, version: int
) -> TransformationGovernanceDomainFact:
    field = "gate_decided" if isinstance(body, GateDecided) else "gate_vote_recorded"
    fact: Oneof[str, Message] = Oneof(field=field, value=body)
    return TransformationGovernanceDomainFact(
        metadata=MessageMetadata(message_id=message_id),
        aggregate=AggregateRef(type="gate", id="gat-1", version=version),
        fact=fact,  # pyright: ignore[reportArgumentType]
    )


def test_any_order_ends_at_the_newest_state() -> None:
    for order in itertools.permutations([1, 2, 3]):
        inbox = Inbox()
        for version in order:
            inbox.take(work_fact(version))
        known = inbox.about("work", "wrk-1")
        assert known is not None
        assert known.work is not None
        assert known.work.status == WorkStatus.SUCCEEDED
        assert known.message_ids == ["m3"]


@given(st.lists(st.sampled_from(range(6)), max_size=20), st.permutations(range(6)))
def test_repetitions_and_any_order_across_aggregates_change_nothing(before: list[int], order: list[int]) -> None:
    """Whatever comes before, between and again: once each fact has come, the inbox is the same."""
    votes = [
        gate_fact(GateVoteRecorded(gate=Gate(gate_id="gat-1", version=version)), f"g{version}", version)
        for version in (1, 2, 3)
    ]
    facts = [work_fact(1), work_fact(2), work_fact(3), *votes]
    inbox, plain = Inbox(), Inbox()
    for place in (*before, *order, *before):
        inbox.take(facts[place])
    for fact in facts:
        plain.take(fact)
    assert inbox == Inbox({key: plain.known[key] for key in inbox.known}, plain.tombstones)


def test_a_message_counts_once() -> None:
    inbox = Inbox()
    assert inbox.take(work_fact(2))
    assert not inbox.take(work_fact(2))
    assert not inbox.take(work_fact(1))


def test_two_facts_of_one_version_are_both_heard() -> None:
    inbox = Inbox()
    assert inbox.take(gate_fact(GateVoteRecorded(gate=Gate(gate_id="gat-1", status=GateStatus.OPEN)), "a", 2))
    decided = gate_fact(GateDecided(gate=Gate(gate_id="gat-1", status=GateStatus.APPROVED)), "b", 2)
    assert inbox.take(decided)
    assert not inbox.take(decided)
    known = inbox.about("gate", "gat-1")
    assert known is not None
    assert known.gate is not None
    assert (known.gate.status, known.message_ids) == (GateStatus.APPROVED, ["a", "b"])


def test_a_closed_aggregate_is_a_tombstone() -> None:
    inbox = Inbox()
    inbox.take(work_fact(3))
    inbox.close("work", "wrk-1")
    assert not inbox.take(work_fact(3, "again"))
    assert inbox.about("work", "wrk-1") is None
    assert (inbox.known, inbox.tombstones) == ({}, ["work:wrk-1"])


def test_unknown_cases_are_left_alone() -> None:
    inbox = Inbox()
    nothing = TransformationWorkDomainFact(
        metadata=MessageMetadata(message_id="m"), aggregate=AggregateRef(type="work", id="wrk-1", version=1)
    )
    policy = TransformationGovernanceDomainFact(
        metadata=MessageMetadata(message_id="p"),
        aggregate=AggregateRef(type="policy", id="orders", version=1),
        fact=Oneof(field="policy_adopted", value=PolicyAdopted(policy=Policy(repository_id="orders"))),
    )
    assert not inbox.take(nothing)
    assert not inbox.take(policy)
    assert inbox.known == {}
