"""Executors, sweeper, relay and people at once, in random order: whatever happens, each work has one course."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable

import pytest

from ameide.contracts import topics
from ameide.errors import Conflict, Fenced, InvalidArgument
from ameide_core_proto.transformation.work.v1.command_service_pb import ClaimAnswer
from tests.domain_work.world import Claimed, World, caller, key, verify

ENDINGS = {"WorkCompleted", "WorkFailed", "WorkCanceled"}
QUEUE = topics.QUEUE_VERIFY
# What a late or contradicting executor is told; anything else is a defect.
EXPECTED = (Fenced, Conflict, InvalidArgument)


class Crowd:
    """Everybody who speaks to the Domain in this test."""

    def __init__(self, world: World, works: list[str], seed: int) -> None:
        self.world = world
        self.works = works
        self.random = random.Random(seed)
        self.claims: list[Claimed] = []
        self.acts: list[Callable[[], Awaitable[object]]] = [
            *[self.poll] * 3,
            self.claim,
            self.succeed,
            self.fail,
            self.release,
            self.heartbeat,
            self.cancel,
            *[self.lose] * 2,
            world.sweeper.sweep,
            *[world.relay.move] * 2,
        ]

    async def poll(self) -> None:
        claim_id, by = key(), caller(f"executor-{self.random.randrange(3)}", "executor", queues=(QUEUE,))
        answer = await self.world.poll(QUEUE, claim_id, by)
        if answer.answer == ClaimAnswer.RUN and answer.work is not None:
            self.claims.append(Claimed(answer.work, answer.attempt, claim_id, by))

    async def claim(self) -> None:
        claim_id, by = key(), caller("direct", "executor", queues=(QUEUE,))
        answer = await self.world.claim(self.random.choice(self.works), by, claim_id)
        if answer.answer == ClaimAnswer.RUN and answer.work is not None:
            self.claims.append(Claimed(answer.work, answer.attempt, claim_id, by))

    async def succeed(self) -> None:
        if self.claims:
            await self.world.succeed(self.random.choice(self.claims))

    async def fail(self) -> None:
        if self.claims:
            await self.world.fail(self.random.choice(self.claims))

    async def release(self) -> None:
        if self.claims:
            await self.world.release(self.random.choice(self.claims))

    async def heartbeat(self) -> None:
        if self.claims:
            await self.world.heartbeat(self.random.choice(self.claims))

    async def cancel(self) -> None:
        if self.random.random() < 0.3:
            await self.world.cancel(self.random.choice(self.works))

    async def lose(self) -> None:
        # In a thread: it waits for a claim's row that one of the others holds, who goes on in this loop.
        await asyncio.to_thread(self.world.expire_lease, self.random.choice(self.works))


@pytest.mark.parametrize("seed", range(3))
async def test_every_work_has_one_course(world: World, seed: int) -> None:
    run = await world.open_run()
    works = [(await world.requested(verify(run))).work_request_id for _ in range(5)]
    crowd = Crowd(world, works, seed)
    for _ in range(25):
        acts = crowd.random.choices(crowd.acts, k=6)
        for result in await asyncio.gather(*(act() for act in acts), return_exceptions=True):
            if isinstance(result, BaseException) and not isinstance(result, EXPECTED):
                raise result
    await world.relayed()
    _check_course(world, works)
    positions = [row["position"] for row in world.sql("SELECT position FROM ameide.log ORDER BY position")]
    assert positions == list(range(1, len(positions) + 1))


def _check_course(world: World, works: list[str]) -> None:
    facts: defaultdict[str, list[tuple[str, object]]] = defaultdict(list)
    for row in world.sql(
        "SELECT work_request_id, name, aggregate_version FROM ameide.log "
        "WHERE kind = 'fact' AND aggregate_type = 'work' ORDER BY position"
    ):
        facts[str(row["work_request_id"])].append((str(row["name"]), row["aggregate_version"]))
    for work_request_id in works:
        names = [name for name, _ in facts[work_request_id]]
        assert [version for _, version in facts[work_request_id]] == list(range(1, len(names) + 1))
        assert names[0] == "WorkRequested"
        assert all(name == "WorkStarted" or name in ENDINGS for name in names[1:])
        assert all(name not in ENDINGS for name in names[:-1])
        row = world.sql("SELECT status, attempt FROM ameide.work WHERE work_request_id = %s", work_request_id)[0]
        attempts = world.sql(
            "SELECT attempt, ended_by FROM ameide.attempt WHERE work_request_id = %s ORDER BY attempt", work_request_id
        )
        assert names.count("WorkStarted") == row["attempt"] == len(attempts)
        running = [one["attempt"] for one in attempts if one["ended_by"] == ""]
        assert running == ([row["attempt"]] if row["status"] == "started" else [])
        assert (names[-1] in ENDINGS) == (row["status"] in ("succeeded", "failed", "canceled"))
