"""What time decides, by the database's clock."""

import asyncio

import pytest

from ameide.contracts import topics
from ameide.domain.decisions.default_policy import default_policy
from ameide.domain.sweeper import Sweeper
from ameide.errors import Fenced
from ameide.events.carriage import carry
from ameide.events.relay import Relay
from ameide.storage.db import Database
from ameide_core_proto.transformation.governance.v1.facts_pb import GateExpired
from ameide_core_proto.transformation.governance.v1.governance_pb import GateStatus
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.work.v1.facts_pb import WorkCanceled, WorkFailed
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode, Usage, WorkStatus
from tests.domain.meeting import nobody_commits, waiting
from tests.domain_work.gates import open_gate
from tests.domain_work.world import World, verify


def make_due(world: World, column: str) -> None:
    world.sql(f"UPDATE ameide.work SET announce_at = now(), {column} = now()")


async def test_a_lost_claim_is_requested_again_until_none_is_left(world: World) -> None:
    run = await world.open_run()
    work = await world.requested(verify(run))
    for attempt in (1, 2, 3):
        claimed = await world.run(work)
        assert claimed.attempt == attempt
        await world.heartbeat(claimed, Usage(input_tokens=attempt))
        world.expire_lease(work.work_request_id)
        assert await world.sweeper.sweep() == 1
        assert await world.sweeper.sweep() == 0
    assert world.stated(work.work_request_id) == ["WorkRequested", *["WorkStarted"] * 3, "WorkFailed"]
    assert world.stated(work.work_request_id, "intent") == ["WorkExecutionRequested"] * 3
    fact = world.last_fact(work.work_request_id)
    assert isinstance(fact, WorkFailed)
    assert fact.work is not None
    assert fact.work.result is not None
    assert fact.work.result.failure_code == FailureCode.LEASE_LOST
    assert fact.work.result.usage == Usage(input_tokens=3)
    assert (fact.work.lost_claims, fact.evidence) == (2, None)


async def test_a_canceled_work_whose_executor_went_away_is_canceled(world: World) -> None:
    run = await world.open_run()
    claimed = await world.run(await world.requested(verify(run)))
    await world.cancel(claimed.work.work_request_id)
    world.expire_lease(claimed.work.work_request_id)
    assert await world.sweeper.sweep() == 1
    fact = world.last_fact(claimed.work.work_request_id)
    assert isinstance(fact, WorkCanceled)
    assert fact.work is not None
    assert fact.work.status == WorkStatus.CANCELED


async def test_an_unclaimed_work_is_announced_again_and_fails_at_its_deadline(world: World) -> None:
    run = await world.open_run()
    work = await world.requested(verify(run))
    assert await world.sweeper.sweep() == 0
    [before] = world.sql("UPDATE ameide.work SET announce_at = now() RETURNING announce_at AS at")
    assert await world.sweeper.sweep() == 1
    assert await world.sweeper.sweep() == 0
    assert world.stated(work.work_request_id, "intent") == ["WorkExecutionRequested"] * 2
    minute = "announce_at BETWEEN %s + interval '1 min' AND now() + interval '1 min'"
    assert world.sql(f"SELECT {minute} AS paused FROM ameide.work", before["at"]) == [{"paused": True}]
    await world.relayed()
    assert world.sql("SELECT dispatch FROM ameide.queue_item") == [{"dispatch": 2}]
    make_due(world, "claim_deadline")
    assert await world.sweeper.sweep() == 1
    assert world.stated(work.work_request_id) == ["WorkRequested", "WorkFailed"]
    assert world.sql("SELECT 1 FROM ameide.queue_item") == []
    fact = world.last_fact(work.work_request_id)
    assert isinstance(fact, WorkFailed)
    assert fact.work is not None
    assert fact.work.result is not None
    assert fact.work.result.failure_code == FailureCode.TIMEOUT


async def test_replicas_sweep_each_thing_once(world: World, sweeper_database: Database) -> None:
    run = await world.open_run()
    for _ in range(6):
        claimed = await world.run(await world.requested(verify(run)))
        world.expire_lease(claimed.work.work_request_id)
    replica = Sweeper(sweeper_database, world.wakeups)
    while True:
        swept = await asyncio.gather(world.sweeper.sweep(), replica.sweep(), world.sweeper.sweep())
        if not sum(swept):
            break
    rows = world.sql("SELECT status, dispatch, lost_claims FROM ameide.work")
    assert rows == [{"status": "requested", "dispatch": 2, "lost_claims": 1}] * 6


async def test_an_outcome_and_the_sweep_never_both_count(world: World) -> None:
    run = await world.open_run()
    for _ in range(8):
        claimed = await world.run(await world.requested(verify(run)))
        world.expire_lease(claimed.work.work_request_id)
        await asyncio.gather(world.succeed(claimed), world.sweeper.sweep(), return_exceptions=True)
        stated = world.stated(claimed.work.work_request_id)
        status = world.sql("SELECT status FROM ameide.work WHERE work_request_id = %s", claimed.work.work_request_id)[
            0
        ]["status"]
        assert (status, stated[2:]) in (("succeeded", ["WorkCompleted"]), ("requested", []))


async def test_the_sweep_passes_by_a_work_whose_outcome_is_under_way(world: World) -> None:
    run = await world.open_run()
    claimed = await world.run(await world.requested(verify(run)))
    world.expire_lease(claimed.work.work_request_id)
    with nobody_commits(world):
        outcome = asyncio.ensure_future(world.succeed(claimed))
        await waiting(world, 1)
        async with asyncio.timeout(20):
            assert await world.sweeper.sweep() == 0
    assert not (await outcome).idempotent_replay
    assert await world.sweeper.sweep() == 0
    assert world.stated(claimed.work.work_request_id) == ["WorkRequested", "WorkStarted", "WorkCompleted"]


async def test_an_outcome_that_comes_during_the_sweep_is_fenced(world: World) -> None:
    run = await world.open_run()
    claimed = await world.run(await world.requested(verify(run)))
    world.expire_lease(claimed.work.work_request_id)
    with nobody_commits(world):
        swept = asyncio.ensure_future(world.sweeper.sweep())
        await waiting(world, 1)
        outcome = asyncio.ensure_future(world.succeed(claimed))
        await waiting(world, 2)
    assert await swept == 1
    with pytest.raises(Fenced):
        await outcome
    assert world.stated(claimed.work.work_request_id) == ["WorkRequested", "WorkStarted"]
    assert (await world.run(claimed.work)).attempt == 2


async def test_a_gate_that_nobody_decides_expires(world: World) -> None:
    policy = default_policy("orders", gitops=True)
    for rule in policy.gates:
        rule.expires_after_seconds = 3600
    run = await world.open_run(policy)
    gate = await open_gate(world, run, GateKind.NEEDS_HUMAN, reason="stuck")
    assert await world.sweeper.sweep() == 0
    world.sql("UPDATE ameide.aggregate SET due_at = now() WHERE kind = 'gate'")
    assert await world.sweeper.sweep() == 1
    assert await world.sweeper.sweep() == 0
    row = world.sql("SELECT status, version, due_at FROM ameide.aggregate WHERE kind = 'gate'")
    assert row == [{"status": "EXPIRED", "version": 2, "due_at": None}]
    fact = world.governance_facts()[-1]
    assert isinstance(fact, GateExpired)
    assert fact.gate is not None
    assert (fact.gate.gate_id, fact.gate.status) == (gate.gate_id, GateStatus.EXPIRED)


async def test_works_of_a_queue_that_changed_its_carrier_are_announced_at_once(world: World) -> None:
    pool = Database(world.spine.dsn("ameide_relay"), max_size=2)
    await pool.open()
    run = await world.open_run()
    work = await world.requested(verify(run))
    await world.relayed()
    queue = (topics.QUEUE_VERIFY,)
    await carry(pool, queue)
    assert await world.sweeper.sweep() == 2
    relay = Relay(pool, world.wakeups, elsewhere=queue)
    while await relay.move():
        pass
    # Its invitation in the queue has gone, and the new one waits for the forwarder.
    assert world.sql("SELECT 1 FROM ameide.queue_item") == []
    assert world.stated(work.work_request_id, "intent") == ["WorkExecutionRequested"] * 2
    assert await world.sweeper.sweep() == 0
    await carry(pool, ())
    assert await world.sweeper.sweep() == 2
    await world.relayed()
    [invitation] = world.sql("SELECT dispatch FROM ameide.queue_item")
    assert invitation["dispatch"] == 3
    await pool.close()
