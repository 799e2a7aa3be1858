"""How an executor comes by its claims: slots, one work and out, a pause, and invitations that a broker brings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from ameide.contracts import topics
from ameide.errors import Unreachable
from ameide.events.ports import Delivery, Invitation
from ameide.infra.claiming import Invited, Polling, Turns
from ameide.infra.clock import now
from ameide.infra.executor import Executor
from ameide.infra.object_store import ObjectStore
from ameide.infra.pausing import Pauses
from ameide.infra.settings import ExecutorSettings
from ameide.rpc.clients import Clients
from ameide_core_proto.transformation.work.v1.command_service_pb import ClaimAnswer
from ameide_core_proto.transformation.work.v1.work_pb import WorkRequest
from tests.infra.executor_process import STEPS
from tests.infra.work_double import QUEUE, WorkDouble, eventually, tool_run


@dataclass
class Brought:
    """A queue that hands out what it is given, and keeps what was acknowledged."""

    works: list[str]
    tenant: str = "default"
    broken: bool = False
    away: bool = False
    acknowledged: list[str] = field(default_factory=list[str])

    @asynccontextmanager
    async def receive(self, queues: Sequence[str]) -> AsyncGenerator[Delivery | None]:
        """The next one, or None after a moment."""
        if self.away:
            raise Unreachable("the brokers do not answer")
        if not self.works:
            await asyncio.sleep(0)
        yield _Brought(self, Invitation(queues[0], self.tenant, self.works[0], 1)) if self.works else None

    async def close(self) -> None:
        """It keeps nothing."""


@dataclass(frozen=True)
class _Brought:
    queue: Brought
    invitation: Invitation

    async def acknowledge(self) -> None:
        if self.queue.broken:
            raise Unreachable("the broker does not answer")
        self.queue.acknowledged.append(self.queue.works.pop(0))


@pytest.fixture
async def clients(settings: ExecutorSettings) -> AsyncIterator[Clients]:
    async with Clients(settings.address, settings.token) as found:
        yield found


async def test_without_a_work_it_waits_as_long_as_it_was_told_and_claims_nothing(executor: Executor) -> None:
    answered: list[bool] = []
    began = now()
    assert await executor.run_once(3, lambda: answered.append(True)) is ClaimAnswer.NONE
    assert now() - began >= 3
    assert answered == []


async def test_it_says_that_the_claim_is_answered_before_it_works(double: WorkDouble, executor: Executor) -> None:
    answered = asyncio.Event()
    await double.offer(tool_run("wrk-1", "sleep 300"))
    running = asyncio.create_task(executor.run_once(30, answered.set))
    await answered.wait()
    assert double.outcomes == {}
    executor.stop()
    assert await running is ClaimAnswer.RUN
    assert [released.work_request_id for released in double.released] == ["wrk-1"]


async def test_nobody_there_is_an_error_at_the_end_of_the_wait(settings: ExecutorSettings, store: ObjectStore) -> None:
    async with Clients("http://127.0.0.1:1", settings.token) as nobody:
        with pytest.raises(Unreachable):
            await Executor(settings, STEPS, nobody, store).run_once(1)


async def test_tenants_without_a_work_are_asked_one_after_the_other_and_not_over_and_over(
    double: WorkDouble, clients: Clients
) -> None:
    turns = Turns([Polling(clients, "verifier") for _ in range(3)])
    taken = await turns.claim([QUEUE], 2.9, asyncio.Event())
    assert (taken.answer, double.polls) == (ClaimAnswer.NONE, 3)


async def test_a_queue_has_slots_of_its_own_or_shares_those_of_the_role(
    settings: ExecutorSettings, clients: Clients, store: ObjectStore
) -> None:
    said = replace(
        settings,
        queues=(topics.QUEUE_VERIFY, topics.QUEUE_VERIFY_UI, topics.QUEUE_PUBLISH, topics.QUEUE_GENERATE),
        slots=2,
        queue_slots={topics.QUEUE_VERIFY: 3, topics.QUEUE_PUBLISH: 0},
    )
    invited = {topics.QUEUE_GENERATE: lambda: Invited(Brought([]), {"default": clients}, "verifier", "kafka")}
    slots = Executor(said, STEPS, clients, store, invited=invited).slots()
    shared, verify, brought = (topics.QUEUE_VERIFY_UI,), (topics.QUEUE_VERIFY,), (topics.QUEUE_GENERATE,)
    assert [slot.queues for slot in slots] == [shared] * 2 + [verify] * 3 + [brought] * 2
    assert len({id(slot.source) for slot in slots}) == len(slots)


async def test_without_a_slot_an_executor_waits_to_be_stopped(
    settings: ExecutorSettings, clients: Clients, store: ObjectStore
) -> None:
    executor = Executor(replace(settings, slots=0), STEPS, clients, store)
    serving = asyncio.create_task(executor.serve())
    ended, _ = await asyncio.wait([serving], timeout=0.3)
    assert not ended
    executor.stop()
    await serving


def published(work_request_id: str) -> WorkRequest:
    """A work of the other queue."""
    work = tool_run(work_request_id, "echo other")
    work.queue = topics.QUEUE_PUBLISH
    return work


@asynccontextmanager
async def served(
    settings: ExecutorSettings, clients: Clients, store: ObjectStore, pauses: Pauses
) -> AsyncGenerator[Executor]:
    """An executor that serves meanwhile."""
    executor = Executor(settings, STEPS, clients, store, pauses=pauses)
    serving = asyncio.create_task(executor.serve())
    try:
        yield executor
    finally:
        executor.stop()
        await serving


async def test_a_paused_queue_keeps_its_works_and_what_runs_goes_on(
    settings: ExecutorSettings, clients: Clients, store: ObjectStore, double: WorkDouble, state_dir: Path
) -> None:
    pauses = Pauses.of(state_dir)
    said = replace(settings, queues=(QUEUE, topics.QUEUE_PUBLISH), slots=2)
    async with served(said, clients, store, pauses):
        await double.offer(tool_run("wrk-1", "sleep 1"))
        await double.until(lambda: "wrk-1" in double.held)
        assert pauses.pause([QUEUE]) == {QUEUE}
        await double.until(lambda: "wrk-1" in double.outcomes)
        await double.offer(tool_run("wrk-2", "echo paused"))
        # The other queue goes on, so that what was not taken was left on purpose.
        await double.offer(published("wrk-3"))
        await double.until(lambda: "wrk-3" in double.outcomes)
        assert "wrk-2" not in double.outcomes
    double.offered[:] = [tool_run("wrk-2", "echo paused")]
    async with served(said, clients, store, pauses):
        await double.offer(published("wrk-4"))
        await double.until(lambda: "wrk-4" in double.outcomes)
        assert "wrk-2" not in double.outcomes
        assert pauses.resume([QUEUE]) == frozenset()
        await double.until(lambda: "wrk-2" in double.outcomes)


async def test_an_invitation_is_acknowledged_once_the_claim_is_answered(double: WorkDouble, clients: Clients) -> None:
    await double.offer(tool_run("wrk-1", "echo hello"))
    queue = Brought(["wrk-1", "wrk-1"])
    source = Invited(queue, {"default": clients}, "verifier", "kafka")
    taken = await source.claim([QUEUE], 5, asyncio.Event())
    assert (taken.answer, queue.acknowledged) == (ClaimAnswer.RUN, ["wrk-1"])
    assert taken.claim
    assert taken.claim.work.work_request_id == "wrk-1"
    again = await source.claim([QUEUE], 5, asyncio.Event())
    assert (again.answer, again.claim) == (ClaimAnswer.DECLINED_RUNNING_ELSEWHERE, None)
    assert queue.acknowledged == ["wrk-1", "wrk-1"]


async def test_a_lost_answer_is_asked_for_with_the_same_claim(double: WorkDouble, clients: Clients) -> None:
    double.claims_to_lose = 2
    await double.offer(tool_run("wrk-1", "echo hello"))
    queue = Brought(["wrk-1"])
    taken = await Invited(queue, {"default": clients}, "verifier", "kafka").claim([QUEUE], 5, asyncio.Event())
    assert taken.answer is ClaimAnswer.RUN
    assert len(double.claim_ids) == 3
    assert len(set(double.claim_ids)) == 1


async def test_an_invitation_that_comes_again_is_claimed_as_before(double: WorkDouble, clients: Clients) -> None:
    double.claims_to_lose = 1
    await double.offer(tool_run("wrk-1", "echo hello"))
    source, rung = Invited(Brought(["wrk-1", "wrk-1"]), {"default": clients}, "verifier", "kafka"), asyncio.Event()
    # As by a pause of another queue: it is not waited for any longer.
    rung.set()
    with pytest.raises(Unreachable):
        await source.claim([QUEUE], 5, rung)
    assert (await source.claim([QUEUE], 5, asyncio.Event())).answer is ClaimAnswer.RUN
    assert len(double.claim_ids) == 2
    assert len(set(double.claim_ids)) == 1
    await source.claim([QUEUE], 5, asyncio.Event())
    assert len(set(double.claim_ids)) == 2


@pytest.mark.parametrize(("tenant", "work"), [("default", "wrk-unknown"), ("another", "wrk-1")])
async def test_an_invitation_that_is_not_ours_is_used_up(
    double: WorkDouble, clients: Clients, tenant: str, work: str
) -> None:
    queue = Brought([work], tenant)
    taken = await Invited(queue, {"default": clients}, "verifier", "kafka").claim([QUEUE], 5, asyncio.Event())
    assert (taken.answer, queue.acknowledged) == (ClaimAnswer.NONE, [work])


async def test_an_invitation_that_the_domain_takes_for_none_is_used_up(double: WorkDouble, clients: Clients) -> None:
    double.claims_invalid = True
    queue = Brought(["x" * 64, "wrk-1"])
    source = Invited(queue, {"default": clients}, "verifier", "kafka")
    assert (await source.claim([QUEUE], 5, asyncio.Event())).answer is ClaimAnswer.NONE
    double.claims_invalid = False
    await double.offer(tool_run("wrk-1", "echo hello"))
    assert (await source.claim([QUEUE], 5, asyncio.Event())).answer is ClaimAnswer.RUN


async def test_a_work_of_another_queue_is_given_back(double: WorkDouble, clients: Clients) -> None:
    await double.offer(published("wrk-1"))
    queue = Brought(["wrk-1"])
    taken = await Invited(queue, {"default": clients}, "verifier", "kafka").claim([QUEUE], 5, asyncio.Event())
    assert (taken.answer, taken.claim, queue.acknowledged) == (ClaimAnswer.NONE, None, ["wrk-1"])
    assert [released.work_request_id for released in double.released] == ["wrk-1"]


async def test_a_claim_holds_though_the_broker_is_gone_when_it_is_acknowledged(
    double: WorkDouble, clients: Clients
) -> None:
    await double.offer(tool_run("wrk-1", "echo hello"))
    queue = Brought(["wrk-1"], broken=True)
    taken = await Invited(queue, {"default": clients}, "verifier", "kafka").claim([QUEUE], 5, asyncio.Event())
    assert taken.answer is ClaimAnswer.RUN


async def test_silence_after_brokers_were_away_is_not_taken_for_an_empty_queue(clients: Clients) -> None:
    queue = Brought([], away=True)
    source = Invited(queue, {"default": clients}, "verifier", "kafka")
    with pytest.raises(Unreachable):
        await source.claim([QUEUE], 1, asyncio.Event())
    queue.away = False
    with pytest.raises(Unreachable):
        await source.claim([QUEUE], 0, asyncio.Event())


async def test_an_invitation_is_left_to_others_when_the_executor_stops_without_an_answer(
    double: WorkDouble, clients: Clients
) -> None:
    double.claims_to_lose = 1_000
    queue, bell = Brought(["wrk-1"]), asyncio.Event()
    claiming = asyncio.create_task(Invited(queue, {"default": clients}, "verifier", "kafka").claim([QUEUE], 60, bell))
    await eventually(lambda: len(double.claim_ids) > 1)
    bell.set()
    with suppress(Unreachable):
        await claiming
    assert (queue.works, queue.acknowledged) == (["wrk-1"], [])
