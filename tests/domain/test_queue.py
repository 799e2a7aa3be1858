"""A limit of runs per repository: who comes too early waits in line, and nobody waits while there is room."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from ameide.errors import Refused
from ameide_core_proto.transformation.governance.v1.governance_pb import Change, Run, RunStatus
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from tests.domain.saying import (
    adopt,
    cancel,
    close_run,
    names,
    open_change,
    open_gate,
    propose,
    revise,
    start,
    started,
    statuses,
    submit,
)
from tests.domain_work.world import World


async def limited(world: World, limit: int, version: int = 1) -> Policy:
    """The repository lets so many runs be open."""
    policy = await _policy(world)
    policy.max_open_runs = limit
    return await adopt(world, policy, version)


async def _policy(world: World) -> Policy:
    [row] = world.sql("SELECT state FROM ameide.aggregate WHERE kind = 'policy'")
    return Policy.from_binary(cast(bytes, row["state"]))


def stored(world: World, run: Run) -> Run:
    """The run as the Domain has it now."""
    rows = world.sql("SELECT state FROM ameide.aggregate WHERE kind = 'run' AND id = %s", run.process_instance_id)
    return Run.from_binary(cast(bytes, rows[0]["state"]))


async def merged(world: World, run: Run) -> Run:
    """The run comes to a good end."""
    return await close_run(world, run, RunStatus.COMPLETED, "merged")


async def test_runs_start_in_the_order_in_which_they_were_asked_for(world: World) -> None:
    await world.register()
    await limited(world, 1)
    runs = [(await started(world))[2] for _ in range(3)]
    assert [run.status for run in runs] == [RunStatus.OPEN, RunStatus.QUEUED, RunStatus.QUEUED]
    assert [run.queue_number for run in runs] == [0, 1, 2]
    assert names(world).count("RunRequested") == 1
    await merged(world, runs[0])
    assert [stored(world, run).status for run in runs[1:]] == [RunStatus.OPEN, RunStatus.QUEUED]
    await merged(world, runs[1])
    assert stored(world, runs[2]).status is RunStatus.OPEN
    assert [name for name in names(world) if name.startswith("Run")] == [
        *("RunRequested", "RunQueued", "RunQueued"),
        *("RunClosed", "RunRequested", "RunClosed", "RunRequested"),
    ]


async def test_a_canceled_run_leaves_the_line_and_is_passed_over(world: World) -> None:
    await world.register()
    await limited(world, 1)
    _, _, first = await started(world)
    change, _, second = await started(world)
    _, _, third = await started(world)
    canceled = await cancel(world, change)
    assert canceled.open_run_id == ""
    assert (stored(world, second).status, stored(world, second).outcome) == (RunStatus.CANCELED, "canceled")
    assert stored(world, third).status is RunStatus.QUEUED
    await merged(world, first)
    assert stored(world, third).status is RunStatus.OPEN


async def test_a_run_that_waits_does_nothing_else(world: World) -> None:
    await world.register()
    await limited(world, 1)
    await started(world)
    change, artifact, run = await started(world)
    with pytest.raises(Refused, match="waits in line"):
        await open_gate(world, run, artifact)
    with pytest.raises(Refused, match="is open"):
        await start(world, change)
    assert (await close_run(world, run, RunStatus.FAILED, "failed")).status is RunStatus.QUEUED


async def test_what_was_revised_meanwhile_is_what_the_run_starts_with(world: World) -> None:
    await world.register()
    await limited(world, 1)
    _, _, first = await started(world)
    _, artifact, second = await started(world)
    await revise(world, artifact.artifact_id, 1)
    await submit(world, artifact.artifact_id, 2)
    await merged(world, first)
    begun = stored(world, second).input
    assert begun is not None
    assert begun.requirement is not None
    assert begun.requirement.current is not None
    assert begun.requirement.current.number == 2
    assert begun.policy is not None
    assert begun.policy.version == 2
    assert begun.repository is not None
    assert begun.repository.queue_count == 0


async def test_a_policy_makes_room(world: World) -> None:
    await world.register()
    await limited(world, 1)
    runs = [(await started(world))[2] for _ in range(5)]
    await limited(world, 3, version=2)
    assert [stored(world, run).status.name for run in runs] == ["OPEN", "OPEN", "OPEN", "QUEUED", "QUEUED"]
    await limited(world, 0, version=3)
    assert {stored(world, run).status for run in runs} == {RunStatus.OPEN}
    # A limit below what is open takes nothing away; nobody is let in before there is room again.
    await limited(world, 2, version=4)
    _, _, late = await started(world)
    for run in runs[:3]:
        await merged(world, run)
        assert stored(world, late).status is RunStatus.QUEUED
    await merged(world, runs[3])
    assert stored(world, late).status is RunStatus.OPEN


async def test_at_once_the_limit_holds_and_everybody_gets_through(world: World) -> None:
    """Starts meet starts, ends meet ends and cancels: after each round as many are open as may be."""
    await world.register()
    await limited(world, 2)

    async def asked(_: int) -> tuple[Change, Run]:
        change = await open_change(world)
        drafted = await propose(world, change)
        await submit(world, drafted.artifact_id, 1)
        return change, await start(world, change)

    runs = {run.process_instance_id: (change, run) for change, run in await asyncio.gather(*map(asked, range(12)))}
    assert sorted(run.queue_number for _, run in runs.values()) == [0, 0, *range(1, 11)]
    while under_way := [id for id, status in statuses(world, "run").items() if status in ("OPEN", "QUEUED")]:
        now = statuses(world, "run")
        assert [now[id] for id in under_way].count("OPEN") == min(2, len(under_way))
        ended = [merged(world, runs[id][1]) for id in under_way if now[id] == "OPEN"]
        # Somebody in the middle of the line gives up at the same time.
        given_up = [
            cancel(world, runs[id][0]) for id in under_way if runs[id][1].queue_number == 6 and now[id] == "QUEUED"
        ]
        await asyncio.gather(*ended, *given_up)
        for id in [id for id in under_way if stored(world, runs[id][1]).cancel_requested]:
            await close_run(world, runs[id][1], RunStatus.CANCELED, "canceled")
    assert names(world).count("RunClosed") == 12
    assert sorted(statuses(world, "run").values()) == ["CANCELED", *["COMPLETED"] * 11]
