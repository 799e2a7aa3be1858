"""A run that takes no signal for now: the others flow, its facts wait aside and come again by themselves, in order."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from typing import cast

import pytest
from temporalio.client import Client, Interceptor, OutboundInterceptor, SignalWorkflowInput
from temporalio.service import RPCError, RPCStatusCode

from ameide.events.backends.postgres import PostgresFactStream
from ameide.events.consumer import Consumer
from ameide.events.messages import LoggedMessage
from ameide.events.outbox import append
from ameide.events.parking import list_parked
from ameide.events.relay import Relay
from ameide.events.wakeups import Wakeups
from ameide.process.ingress import Ingress
from ameide.rpc.clients import Clients
from ameide.storage.db import Database
from ameide_core_proto.transformation.governance.v1.governance_pb import Run
from tests.conftest import SpineDatabase
from tests.process.town import Town

PAUSE = 0.2


class Trouble(Interceptor):
    """Temporal takes no signal for some workflows, or for none at all."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self.down = False
        self.signalled: list[str] = []

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        return _Signals(next, self)


class _Signals(OutboundInterceptor):
    def __init__(self, next: OutboundInterceptor, trouble: Trouble) -> None:
        super().__init__(next)
        self._trouble = trouble

    async def signal_workflow(self, input: SignalWorkflowInput) -> None:
        if self._trouble.down or input.id in self._trouble.held:
            raise RPCError("the workflow is busy", RPCStatusCode.RESOURCE_EXHAUSTED, b"")
        await super().signal_workflow(input)
        self._trouble.signalled.append(input.id)


class Place:
    """The town's facts in a real log, and any number of ingresses that read it."""

    def __init__(self, town: Town, app: Database, relay: Database, ingress: Database) -> None:
        self.town = town
        self.trouble = Trouble()
        config = town.temporal.config()
        config["interceptors"] = [self.trouble]
        self.temporal = Client(**config)
        self.database = ingress
        self._app = app
        self._relay = relay
        self._published = 0
        self.ingress = self.new_ingress()

    def new_ingress(self) -> Ingress:
        """Another process, as far as memory goes."""
        consumer = Consumer(PostgresFactStream(self.database, "ingress", Wakeups()), self.database, "ingress")
        domain = cast("Clients", self.town.directory)
        return Ingress(consumer, domain, "", "", pause=PAUSE)

    async def publish(self) -> None:
        """What the town has stated since is in the log."""
        new: Sequence[LoggedMessage] = self.town.log.messages[self._published :]
        self._published += len(new)
        async with self._app.transaction("default") as tx:
            append(tx, new)
        await Relay(self._relay, Wakeups()).move()

    async def started(self, *runs: Run) -> dict[str, list[str]]:
        """Runs whose workflows have heard one fact; what each has heard."""
        heard = {run.process_instance_id: [run.change_id, self.town.requested(run)] for run in runs}
        await self.publish()
        while await self.position() < self._published:
            await self.ingress.step(self.temporal)
        return heard

    async def step(self) -> None:
        """As long as there is something to do at once."""
        while await self.ingress.step(self.temporal):
            pass

    async def position(self) -> int:
        """How far the consumer is."""
        async with self.database.transaction(None) as tx:
            row = await tx.fetch_one("SELECT position FROM ameide.cursor WHERE name = 'ingress'")
        assert row is not None
        return int(row["position"])

    async def waiting(self) -> list[tuple[str, bool]]:
        """The keys that wait, each message with whether it is tried again by itself."""
        return [(parked.key, parked.retry_at is not None) for parked in await list_parked(self.database)]

    async def until_heard(self, run: Run) -> list[str]:
        """Ingress works until the run's workflow has heard its three facts."""

        async def work() -> None:
            while True:
                await self.ingress.retry(self.temporal)
                if not await self.ingress.step(self.temporal):
                    await Wakeups().subscribe("log").wait(0.05)

        working = asyncio.create_task(work())
        async with asyncio.timeout(30):
            heard = await self.town.result(run)
        working.cancel()
        return heard


@pytest.fixture
async def place(town: Town, database: SpineDatabase) -> AsyncGenerator[Place]:
    async with AsyncExitStack() as stack:
        opened: list[Database] = []
        for role in ("ameide_app", "ameide_relay", "ameide_ingress"):
            pool = Database(database.dsn(role))
            await pool.open()
            stack.push_async_callback(pool.close)
            opened.append(pool)
        yield Place(town, *opened)


async def test_the_others_flow_and_it_comes_again_by_itself_in_order(place: Place) -> None:
    town = place.town
    stuck, other = town.run(), town.run()
    heard = await place.started(stuck, other)
    place.trouble.held.add(stuck.process_instance_id)
    for run in (stuck, other, stuck, other):
        heard[run.process_instance_id].append(town.other(run))
    await place.publish()
    await place.step()
    assert await town.result(other) == heard[other.process_instance_id]
    key = f"default:{stuck.process_instance_id}"
    assert await place.waiting() == [(key, True), (key, False)]
    assert await place.position() == 6
    place.trouble.held.clear()
    assert await place.until_heard(stuck) == heard[stuck.process_instance_id]
    assert await place.waiting() == []
    assert place.ingress.counts == {"started": 2, "signalled": 4, "waiting": place.ingress.counts["waiting"]}


async def test_what_waits_survives_the_process_and_keeps_its_order_with_what_comes(place: Place) -> None:
    town = place.town
    stuck, other = town.run(), town.run()
    heard = await place.started(stuck, other)
    place.trouble.held.add(stuck.process_instance_id)
    heard[stuck.process_instance_id].append(town.other(stuck))
    town.other(other)
    await place.publish()
    await place.step()
    place.ingress = place.new_ingress()
    heard[stuck.process_instance_id].append(town.other(stuck))
    await place.publish()
    await place.step()
    assert await place.position() == 5
    assert len(await place.waiting()) == 2
    place.trouble.held.clear()
    assert await place.until_heard(stuck) == heard[stuck.process_instance_id]


async def test_while_nobody_gets_through_nothing_is_set_aside_nor_passed(place: Place) -> None:
    town = place.town
    runs = [town.run() for _ in range(5)]
    heard = await place.started(*runs)
    place.trouble.down = True
    for _ in range(2):
        for run in runs:
            heard[run.process_instance_id].append(town.other(run))
    await place.publish()
    for _ in range(2):
        assert not await place.ingress.step(place.temporal)
    assert await place.waiting() == []
    assert await place.position() == 5
    place.trouble.down = False
    for run in runs:
        assert await place.until_heard(run) == heard[run.process_instance_id]
    assert await place.waiting() == []
    assert len(place.trouble.signalled) == 10


async def test_a_run_alone_in_its_batch_is_passed_once_others_come(place: Place) -> None:
    """More facts of the held run than a batch takes: others are found behind them."""
    town = place.town
    stuck, other = town.run(), town.run()
    heard = await place.started(stuck, other)
    place.trouble.held.add(stuck.process_instance_id)
    for _ in range(150):
        town.other(stuck)
    await place.publish()
    for _ in range(2):
        assert not await place.ingress.step(place.temporal)
    assert await place.waiting() == []
    for _ in range(2):
        heard[other.process_instance_id].append(town.other(other))
    await place.publish()
    assert await place.until_heard(other) == heard[other.process_instance_id]
    await place.step()
    assert await place.position() == 154
    assert len(await place.waiting()) == 150


async def test_a_run_that_refuses_waits_for_a_person(place: Place) -> None:
    town = place.town
    run = town.run()
    town.log.append(None, pid=run.process_instance_id, payload=b"\xff\xff")
    await place.publish()
    await place.step()
    assert await place.waiting() == [(f"default:{run.process_instance_id}", False)]
