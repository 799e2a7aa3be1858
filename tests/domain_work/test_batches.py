"""Several works under one claim, and their outcomes together: each has its own fence and its own facts."""

import pytest

from ameide.contracts import topics
from ameide.domain.commands import claims
from ameide.domain.unit import Unit
from ameide.errors import InvalidArgument
from ameide_core_proto.transformation.work.v1 import command_service_pb as pb
from ameide_core_proto.transformation.work.v1.work_pb import WorkRequest, WorkStatus
from tests.domain_work.world import Claimed, World, caller, key, success, verify

QUEUE = topics.QUEUE_VERIFY
EXECUTOR = caller("verifier", "executor", queues=(QUEUE,))


async def claim(world: World, claim_id: str, most: int) -> list[Claimed]:
    """Poll for so many works at once."""
    answer = await world.gateway.poll(
        EXECUTOR, pb.PollWorkRequest(queues=[QUEUE], claim_id=claim_id, max_works=most, runner="pool-1")
    )
    found: list[tuple[WorkRequest | None, int]] = [(answer.work, answer.attempt)]
    found += [(one.work, one.attempt) for one in answer.more]
    return [Claimed(work, attempt, claim_id, EXECUTOR) for work, attempt in found if work is not None]


async def record(world: World, *outcomes: pb.RecordWorkOutcomeRequest) -> list[pb.OutcomeAnswer]:
    """Several outcomes in one call."""

    async def handler(unit: Unit) -> pb.RecordWorkOutcomesResponse:
        return await claims.record_work_outcomes(unit, pb.RecordWorkOutcomesRequest(outcomes=list(outcomes)))

    return (await world.service.perform(EXECUTOR, "RecordWorkOutcomes", None, handler)).answers


async def test_a_poll_claims_as_many_as_it_asks_for_and_repeats_them(world: World) -> None:
    run = await world.open_run()
    works = [await world.requested(verify(run)) for _ in range(5)]
    await world.relayed()
    claim_id = key()
    first = await claim(world, claim_id, 3)
    assert {one.work.work_request_id for one in first} == {work.work_request_id for work in works[:3]}
    again = await claim(world, claim_id, 3)
    assert {one.work.work_request_id for one in again} == {one.work.work_request_id for one in first}
    rest = await claim(world, key(), 3)
    assert {one.work.work_request_id for one in rest} == {work.work_request_id for work in works[3:]}
    assert world.stated().count("WorkStarted") == 5
    assert {one.attempt for one in first + rest} == {1}


async def test_a_fenced_outcome_keeps_no_other_from_being_recorded(world: World) -> None:
    run = await world.open_run()
    for _ in range(3):
        await world.requested(verify(run))
    await world.relayed()
    claimed = await claim(world, key(), 3)
    lost = claimed[1].work.work_request_id
    world.expire_lease(lost)
    await world.sweeper.sweep()
    answers = await record(world, *(success(one) for one in claimed))
    assert [answer.reason for answer in answers] == ["", "FENCED", ""]
    assert [answer.work_request_id for answer in answers] == [one.work.work_request_id for one in claimed]
    rows = world.sql("SELECT work_request_id, status FROM ameide.work WHERE status = %s", "succeeded")
    assert {row["work_request_id"] for row in rows} == {one.work.work_request_id for one in claimed} - {lost}
    assert world.stated().count("WorkCompleted") == 2
    assert len(world.sql("SELECT 1 FROM ameide.evidence")) == 2
    replayed = await record(world, success(claimed[0]), success(claimed[2]))
    assert [answer.idempotent_replay for answer in replayed] == [True, True]
    assert world.stated().count("WorkCompleted") == 2


async def test_one_work_cannot_end_twice_in_one_call(world: World) -> None:
    run = await world.open_run()
    await world.requested(verify(run))
    await world.relayed()
    (claimed,) = await claim(world, key(), 10)
    assert claimed.work.status == WorkStatus.STARTED
    with pytest.raises(InvalidArgument, match="twice"):
        await record(world, success(claimed), success(claimed))
