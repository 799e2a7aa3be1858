"""Executors of one work on Kafka, as in a cluster: too many for a work, killed, told to end, without a broker.

Part of `make faults`: pytest takes this file when it is named.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient  # pyright: ignore[reportPrivateImportUsage]

from ameide import config
from ameide.contracts import topics
from ameide_core_proto.transformation.governance.v1.command_service_pb import RegisterRepositoryRequest
from ameide_core_proto.transformation.work.v1.command_service_pb import RequestWorkRequest
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, WorkKind
from tests.acceptance.hold import Hold, create_held_orders
from tests.acceptance.installation import git
from tests.acceptance.jobs import settled
from tests.engines.kafka import broker_in
from tests.engines.kafka.broker import KafkaBroker
from tests.faults.rig.client import RigClient, key
from tests.faults.rig.installation import PATIENCE, Rig, rig
from tests.faults.rig.matrix import clients_of
from tests.faults.rig.patience import pause, until
from tests.faults.rig.processes import Child
from tests.faults.rig.running import say

ROLES = ("relay", "sweeper", "forwarder")
GROUP = topics.consumer_group(topics.QUEUE_VERIFY)
# Longer than the session, so that what a killed one had in hand comes to one that waits.
WAIT, SESSION = 12, 2


@dataclass
class Bench:
    """A control plane whose queues go by Kafka, a repository whose verification is held, and executors of one work."""

    rig: Rig
    client: RigClient
    broker: KafkaBroker
    hold: Hold
    commit: str
    count: int = 0
    children: list[Child] = field(default_factory=list[Child])

    async def start(self, *argv: str, crash_at: str = "") -> Child:
        """An executor of one verification, or what `argv` says."""
        self.count += 1
        environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            config.CONFIG_VARIABLE: str(self.rig.state.settings_of("verifier")),
            "AMEIDE_TOKEN": self.rig.token("verifier"),
            "AMEIDE_VERIFIER_TOKEN": self.rig.token("verifier"),
            "AMEIDE_AUTHOR_TOKEN": self.rig.token("author"),
            "AMEIDE_CHILD_READABLE": str(self.hold.path.parent),
            "AMEIDE_CRASH_AT": crash_at,
        }
        argv = argv or ("run-once", "--queue", "verify", "--wait", str(WAIT))
        child = await self.rig.nursery.start(f"{argv[0]}-{self.count}", ["executor", *argv], environment)
        self.children.append(child)
        return child

    async def request(self) -> str:
        """One more verification."""
        answer = await self.client.say(
            self.client.by("requester").work.request_work,
            RequestWorkRequest(
                scope=self.client.scope,
                client_request_id=key(),
                work_kind=WorkKind.TOOL_RUN,
                action_kind=ActionKind.VERIFY,
                repository_id="held",
                base_sha=self.commit,
                commit_sha=self.commit,
            ),
        )
        assert answer.work
        return answer.work.work_request_id

    async def attempts(self, work: str) -> list[Any]:
        """How each attempt ended, empty for one that goes on."""
        rows = await self.rig.sql(
            "SELECT ended_by FROM ameide.attempt WHERE work_request_id = %s ORDER BY attempt", work
        )
        return [row[0] for row in rows]

    async def outcomes(self, work: str) -> list[Any]:
        """The facts that end it."""
        rows = await self.rig.sql(
            "SELECT name FROM ameide.log WHERE work_request_id = %s AND name IN ('WorkCompleted', 'WorkFailed', "
            "'WorkCanceled')",
            work,
        )
        return [row[0] for row in rows]

    async def ended(self, work: str, *attempts: str) -> None:
        """Wait until the work has exactly one outcome, a success, and came to it by these attempts."""
        async with asyncio.timeout(PATIENCE):
            while not await self.outcomes(work):
                await pause()
        assert await self.outcomes(work) == ["WorkCompleted"]
        assert await self.attempts(work) == list(attempts)

    async def claimed(self, children: list[Child]) -> Child:
        """The one of them that claims."""
        await until(lambda: any(child.ready for child in children), "a claim", PATIENCE)
        return next(child for child in children if child.ready)

    async def joined(self, count: int) -> None:
        """Wait until the group of the queue has so many members."""
        async with asyncio.timeout(PATIENCE):
            while await asyncio.to_thread(self._members) != count:
                await pause()

    def _members(self) -> int:
        # Untyped in the library.
        admin: Any = AdminClient({"bootstrap.servers": self.broker.brokers, "log_level": 0})
        try:
            return len(admin.describe_consumer_groups([GROUP])[GROUP].result(10).members)
        except KafkaException:
            # The broker makes the place of its groups when the first one comes.
            return 0

    async def held(self) -> None:
        """Wait until a program of a work is held."""
        await until(self.hold.taken, "a verification to be held", PATIENCE)

    async def over(self, *children: Child) -> list[int | None]:
        """The exit codes, once all have ended."""
        async with asyncio.timeout(PATIENCE):
            for child in children:
                await child.ended.wait()
        return [None if child.status is None else os.waitstatus_to_exitcode(child.status) for child in children]


@pytest.fixture(scope="module")
async def made(cache_dir: Path) -> AsyncGenerator[Bench]:
    """The control plane, once for all tests."""
    folder = Path(tempfile.mkdtemp(prefix="ameide-once-"))
    await asyncio.to_thread(folder.chmod, 0o711)
    with broker_in(folder / "kafka", cache_dir) as broker:
        carriers = {
            "kafka_brokers": broker.brokers,
            "queue_transport": ("kafka",),
            "kafka_partitions": 3,
            "kafka_session_seconds": SESSION,
        }
        async with rig(folder / "run", say, **carriers) as installation:
            await installation.start("domain")
            await asyncio.gather(*(installation.start(role) for role in ROLES))
            hold = Hold(installation.settings.state_dir / "holds" / "verify")
            remotes = installation.settings.state_dir / "remotes"
            url, _ = create_held_orders(remotes, hold)
            async with clients_of(installation) as client:
                await client.say(
                    client.by("owner").governance.register_repository,
                    RegisterRepositoryRequest(client_request_id=key(), name="held", url=url, default_branch="main"),
                )
                yield Bench(
                    installation, client, broker, hold, git(remotes / "orders.git", "rev-parse", "refs/heads/main")
                )
    shutil.rmtree(folder)


@pytest.fixture
async def bench(made: Bench) -> AsyncGenerator[Bench]:
    """The control plane, with nothing in the queue and nobody at it."""
    made.hold.set()
    yield made
    made.hold.release()
    for child in made.children:
        await child.kill()
    made.children.clear()


async def test_of_five_for_one_work_one_does_it_and_four_leave(bench: Bench) -> None:
    children = [await bench.start() for _ in range(5)]
    await bench.joined(5)
    work = await bench.request()
    winner = await bench.claimed(children)
    await bench.held()
    others = [child for child in children if child is not winner]
    assert await bench.over(*others) == [0, 0, 0, 0]
    assert not any(child.ready for child in others)
    bench.hold.release()
    assert await bench.over(winner) == [0]
    await bench.ended(work, "succeeded")


async def test_a_winner_that_is_killed_is_followed_by_another(bench: Bench) -> None:
    winner = await bench.start()
    work = await bench.request()
    await bench.held()
    follower = await bench.start()
    await bench.joined(1)
    await winner.kill()
    await bench.claimed([follower])
    bench.hold.release()
    assert await bench.over(follower) == [0]
    await bench.ended(work, "lease_lost", "succeeded")


async def test_one_killed_between_claim_and_acknowledgement_costs_a_decline_and_no_work(bench: Bench) -> None:
    bench.hold.release()
    killed = await bench.start(crash_at="executor.claim.after")
    work = await bench.request()
    await killed.ended.wait()
    assert killed.killed
    declined = await bench.start()
    assert await bench.over(declined) == [0]
    if "declined: running_elsewhere" in declined.log.read_text():
        assert await bench.over(await bench.start()) == [0]
    await bench.ended(work, "lease_lost", "succeeded")


async def test_one_that_is_told_to_end_gives_its_work_back_at_once(bench: Bench) -> None:
    leaving = await bench.start()
    work = await bench.request()
    await bench.held()
    leaving.send(signal.SIGTERM)
    assert await bench.over(leaving) == [0]
    assert await bench.attempts(work) == ["released"]
    bench.hold.release()
    assert await bench.over(await bench.start()) == [0]
    await bench.ended(work, "released", "succeeded")
    [[lost]] = await bench.rig.sql(
        "SELECT count(*) FROM ameide.attempt WHERE ended_by = 'lease_lost' AND work_request_id = %s", work
    )
    assert lost == 0


async def test_a_long_work_goes_on_while_others_join_and_leave_its_group(bench: Bench) -> None:
    pool = await bench.start("pool")
    long = await bench.request()
    await bench.held()
    bench.hold.pass_by()
    # The pool has one slot for this queue: it is busy, and must not keep what lies in its partitions.
    shorter = [await bench.request() for _ in range(4)]
    assert await bench.over(*[await bench.start() for _ in range(4)]) == [0, 0, 0, 0]
    for work in shorter:
        await bench.ended(work, "succeeded")
    assert await bench.attempts(long) == [""]
    bench.hold.release()
    await bench.ended(long, "succeeded")
    after = await bench.request()
    await bench.ended(after, "succeeded")
    pool.send(signal.SIGTERM)
    assert await bench.over(pool) == [0]
    await until(lambda: settled(bench.broker.brokers), "all to be acknowledged", PATIENCE)


async def test_without_a_broker_it_says_so_and_what_was_requested_is_done_later(bench: Bench) -> None:
    bench.hold.release()
    waiting = await bench.start()
    await bench.joined(1)
    await asyncio.to_thread(bench.broker.kill)
    work = await bench.request()
    assert await bench.over(waiting) == [3]
    assert "KAFKA_BROKERS" in waiting.log.read_text()
    await asyncio.to_thread(bench.broker.start)
    assert await bench.over(await bench.start()) == [0]
    await bench.ended(work, "succeeded")
