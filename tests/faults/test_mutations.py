"""The oracle's own test: with one protection taken away it fails and says what was lost or doubled, and else it passes.

Each scenario is played on the program as it is, too. What is taken away is taken away whole: half of it is backed up.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress

import pytest

from ameide.domain.decisions.default_policy import default_policy
from ameide.engine.engine import Running
from ameide.errors import Fenced
from ameide.events.relay import Relay
from ameide.events.wakeups import Wakeups
from ameide_core_proto.transformation.governance.v1.governance_pb import Run
from ameide_core_proto.transformation.work.v1.work_pb import WorkRequest
from tests.domain_work.world import BASE, World, verify
from tests.faults.held import Held
from tests.faults.judging import consult
from tests.faults.mutations import MUTATIONS, STATEMENTS
from tests.faults.scene import Scene
from tests.faults.served import serving, started, until
from tests.faults.whole import EVERYTHING, cancel, everything


def mutate(scene: Scene, patch: pytest.MonkeyPatch, mutation: str) -> None:
    """Take a protection away in this process and in the database."""
    MUTATIONS[mutation](patch)
    if mutation in STATEMENTS:
        scene.world.sql(STATEMENTS[mutation])


def judged(scene: Scene, mutation: str, finding: str) -> None:
    """The oracle passes the program as it is, and says `finding` about a mutated one."""
    code, said = consult(scene.folder, 30 if mutation == "no_mutation" else 0)
    assert code == (0 if mutation == "no_mutation" else 1), said
    assert bool(re.search(finding, said)) == (mutation != "no_mutation"), said


@pytest.mark.parametrize("mutation", ["no_mutation", "no_fence"])
async def test_a_late_executor_s_outcome(scene: Scene, monkeypatch: pytest.MonkeyPatch, mutation: str) -> None:
    mutate(scene, monkeypatch, mutation)
    work = await scene.request()
    late = await scene.world.run(work)
    scene.act(late)
    scene.world.expire_lease(work.work_request_id)
    assert await scene.world.sweeper.sweep() == 1
    second = await scene.world.run(work)
    scene.act(second)
    await scene.world.succeed(second)
    with suppress(Fenced):
        await scene.world.succeed(late)
    await scene.rest()
    judged(scene, mutation, rf"doubled: work {work.work_request_id} has ended 2 times")


@pytest.mark.parametrize("mutation", ["no_mutation", "no_stored_response"])
async def test_a_client_that_retries(scene: Scene, monkeypatch: pytest.MonkeyPatch, mutation: str) -> None:
    mutate(scene, monkeypatch, mutation)
    command = verify()
    works = {work.work_request_id: work for work in [await scene.request(command) for _ in range(2)]}
    for work in works.values():
        claimed = await scene.world.run(work)
        scene.act(claimed)
        await scene.world.succeed(claimed)
    await scene.rest()
    judged(scene, mutation, rf"doubled: request {command.client_request_id} of default has the works wrk-\w+, wrk-\w+")


@pytest.mark.parametrize("mutation", ["no_mutation", "no_head_lock"])
async def test_two_relays(scene: Scene, monkeypatch: pytest.MonkeyPatch, mutation: str) -> None:
    mutate(scene, monkeypatch, mutation)
    held = Held(scene.world.spine.dsn("ameide_relay"))
    await held.open()
    works = [await scene.request()]
    first = asyncio.create_task(Relay(held, Wakeups()).move())
    await held.reached.wait()
    works.append(await scene.request())
    second = asyncio.create_task(scene.world.relay.move())

    async def waits_or_has_left() -> bool:
        query = "SELECT 1 AS n FROM pg_stat_activity WHERE usename = 'ameide_relay' AND wait_event_type = 'Lock'"
        return second.done() or bool(scene.world.sql(query))

    await until(waits_or_has_left, "the second relay")
    held.let_go.set()
    await asyncio.gather(first, second)
    await held.close()
    for work in works:
        claimed = await scene.world.run(work)
        scene.act(claimed)
        await scene.world.succeed(claimed)
    await scene.rest()
    judged(scene, mutation, r"doubled: position 1 of the log holds the messages [\w-]+, [\w-]+")


@pytest.mark.parametrize("mutation", ["no_mutation", "cursor_first"])
async def test_a_projector_killed_in_a_batch(scene: Scene, mutation: str) -> None:
    await scene.work()
    await scene.sequence()
    database = scene.world.spine
    crash = {"AMEIDE_CRASH_AT": "projector.batch.before_commit"}
    with started(scene.folder, database, "projector", mutation=mutation, **crash) as killed:
        await killed.killed()
    async with serving(scene.folder, database, "projector", mutation=mutation):

        async def caught_up() -> bool:
            return scene.position("projector") == scene.head()

        await until(caught_up, "the next projector")
    judged(scene, mutation, r"lost: view_fact has no row default 1, a rebuild has")


@pytest.mark.parametrize("mutation", ["no_mutation", "no_deduplication"])
async def test_facts_that_ingress_delivers_again(scene: Scene, engine: Running, mutation: str) -> None:
    world = scene.world
    scene.describe(engine.temporal_address, engine.namespace)
    async with serving(scene.folder, world.spine, *EVERYTHING, mutation=mutation, **await everything(world, engine)):
        run = await run_without_gates(world)
        await executed(scene, run, 0, commit_sha=BASE)
        await until(lambda: requested(world, run, 2), "the next step")
        world.sql("UPDATE ameide.cursor SET position = 0 WHERE name = 'ingress'")

        async def delivered() -> bool:
            return scene.position("ingress") == scene.head() > 0

        await until(delivered, "ingress to deliver everything again")
        if mutation != "no_mutation":
            await until(lambda: requested(world, run, 3), "the run to take the old outcome for the new one")
        await executed(scene, run, 1)
        await until(lambda: requested(world, run, 3), "the step after it")
        await cancel(world, run)

        async def closed() -> bool:
            rows = world.sql("SELECT status FROM ameide.aggregate WHERE id = %s", run.process_instance_id)
            return rows[0]["status"] != "OPEN"

        await until(closed, "the run to end")
        await until(delivered, "ingress to deliver the end")
        judged(scene, mutation, rf"doubled: run {run.process_instance_id} took fact [\w-]+ for the end of wrk-")


async def run_without_gates(world: World) -> Run:
    """A run whose first steps ask nobody."""
    policy = default_policy("plain", gitops=True)
    policy.gates = []
    await world.register("plain", policy)
    return await world.start_run(await world.open_change("plain"))


def works_of(world: World, run: Run) -> list[WorkRequest]:
    """The works of a run in the order of its requests."""
    rows = world.sql(
        "SELECT state FROM ameide.work WHERE process_instance_id = %s ORDER BY work_request_id", run.process_instance_id
    )
    return [WorkRequest.from_binary(bytes(state)) for row in rows if isinstance(state := row["state"], bytes)]


async def requested(world: World, run: Run, count: int) -> bool:
    """Whether the run has come so far."""
    return len(works_of(world, run)) >= count


async def executed(scene: Scene, run: Run, place: int, **outputs: str) -> None:
    """Wait for a work of the run and execute it."""
    await until(lambda: requested(scene.world, run, place + 1), f"work {place + 1} of the run")
    claimed = await scene.world.run(works_of(scene.world, run)[place])
    scene.act(claimed)
    await scene.world.succeed(claimed, **outputs)
