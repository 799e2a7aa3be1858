"""The forwarder: the log's order, its place after the reports, what is refused waits aside with its key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from ameide.contracts import topics
from ameide.errors import AmeideError, Refused, Unreachable
from ameide.events.backends.postgres import PostgresFactStream
from ameide.events.carriage import FORWARDER, carry
from ameide.events.consumer import Consumer
from ameide.events.forwarder import LARGE, Forwarder
from ameide.events.messages import LoggedMessage
from ameide.events.outbox import OutboxMessage
from ameide.events.parking import Parked, list_parked, redrive
from ameide.events.wakeups import Wakeups
from ameide.storage.db import Database
from tests.events.conftest import Pools
from tests.events.messages import fact, intent, relay_of, say
from tests.faults.served import until

BY_KAFKA = frozenset((topics.WORK_FACTS, topics.QUEUE_CODER))
TOO_LARGE = b"x" * LARGE
Answer = Callable[[Sequence[LoggedMessage]], list[AmeideError | None]]


@dataclass
class Broker:
    """Takes what it is given, as `answer` says; `batches` is what came together."""

    batches: list[list[LoggedMessage]] = field(default_factory=list[list[LoggedMessage]])
    taken: list[LoggedMessage] = field(default_factory=list[LoggedMessage])
    answer: Answer = lambda messages: [None] * len(messages)
    reachable: bool = True
    prepared: int = 0

    async def prepare(self) -> None:
        if not self.reachable:
            raise Unreachable("no broker")
        self.prepared += 1

    async def publish(self, messages: Sequence[LoggedMessage]) -> list[AmeideError | None]:
        self.batches.append(list(messages))
        answers = self.answer(messages)
        self.taken += [message for message, error in zip(messages, answers, strict=True) if error is None]
        return answers

    def versions(self, work: str) -> list[int]:
        """Of the facts of a work that were taken, in order."""
        return [one.aggregate_version for one in self.taken if one.aggregate_id == work and one.kind == "fact"]


@dataclass
class Line:
    """Outbox, log, forwarder, broker."""

    app: Database
    relay: Database
    own: Database
    broker: Broker

    async def say(self, *messages: OutboxMessage) -> None:
        await say(self.app, relay_of(self.relay, BY_KAFKA), *messages)

    def forwarder(self, by_kafka: frozenset[str] = BY_KAFKA, wakeups: Wakeups | None = None) -> Forwarder:
        """A new replica."""
        wakeups = wakeups or Wakeups()
        source = Consumer(PostgresFactStream(self.own, FORWARDER, wakeups), self.own, FORWARDER)
        return Forwarder(source, self.own, self.broker, by_kafka, wakeups, prepare=self.broker.prepare)

    async def place(self, name: str = FORWARDER) -> int:
        async with self.own.transaction(None) as tx:
            row = await tx.fetch_one("SELECT position FROM ameide.cursor WHERE name = %s", (name,))
        assert row is not None
        return int(row["position"])

    async def parked(self) -> list[Parked]:
        return await list_parked(self.own)


@pytest.fixture
async def line(pools: Pools) -> Line:
    """Where the facts of works and the invitations of one queue go by Kafka."""
    app, relay, own = [await pools.role(name) for name in ("ameide_app", "ameide_relay", "ameide_ingress")]
    await carry(relay, BY_KAFKA)
    return Line(app, relay, own, Broker())


async def test_what_goes_by_kafka_is_given_in_order_and_nothing_else(line: Line) -> None:
    await line.say(fact("w1"), intent("w1"), intent("w2", topics.QUEUE_VERIFY), fact("w1", 2))
    assert await line.forwarder().step() == 4
    assert [(one.position, one.name) for one in line.broker.taken] == [
        (1, "WorkStarted"),
        (2, "WorkExecutionRequested"),
        (4, "WorkStarted"),
    ]
    assert await line.place() == 4
    assert await line.forwarder().step() == 0


async def test_a_report_that_does_not_come_holds_the_place(line: Line) -> None:
    def nobody_after_the_first(messages: Sequence[LoggedMessage]) -> list[AmeideError | None]:
        return [Unreachable("no report") if number else None for number in range(len(messages))]

    line.broker.answer = nobody_after_the_first
    await line.say(fact("w1"), fact("w2"), fact("w1", 2))
    forwarder = line.forwarder()
    with pytest.raises(Unreachable):
        await forwarder.step()
    assert await line.place() == 1
    line.broker.answer = Broker().answer
    await forwarder.step()
    assert (line.broker.versions("w1"), line.broker.versions("w2")) == ([1, 2], [1])
    assert await line.place() == 3


async def test_what_is_too_large_waits_aside_with_its_key_and_comes_in_order_when_released(line: Line) -> None:
    def limited(messages: Sequence[LoggedMessage]) -> list[AmeideError | None]:
        assert len(messages) == 1 or all(len(one.payload) < LARGE for one in messages)
        return [Refused("too large") if one.payload == TOO_LARGE else None for one in messages]

    line.broker.answer = limited
    await line.say(fact("w1"), fact("w1", 2, TOO_LARGE), fact("w2"), fact("w1", 3))
    forwarder = line.forwarder()
    await forwarder.step()
    await line.say(fact("w1", 4), fact("w2", 2))
    await forwarder.step()
    assert (line.broker.versions("w1"), line.broker.versions("w2")) == ([1], [1, 2])
    assert [(one.key, one.error.split(".")[0]) for one in await line.parked()] == [
        ("acme:w1", "too large"),
        ("acme:w1", "waits behind an earlier message of its key"),
        ("acme:w1", "waits behind an earlier message of its key"),
    ]
    line.broker.answer = Broker().answer
    assert await redrive(line.own, FORWARDER, "acme:w1") == 3
    await line.say(fact("w1", 5))
    while await forwarder.step():
        pass
    assert line.broker.versions("w1") == [1, 2, 3, 4, 5]
    assert await line.parked() == []


async def test_what_is_refused_beside_others_is_set_aside_with_what_was_refused_behind_it(line: Line) -> None:
    def not_w2(messages: Sequence[LoggedMessage]) -> list[AmeideError | None]:
        return [Refused("not this") if one.aggregate_id == "w2" else None for one in messages]

    line.broker.answer = not_w2
    await line.say(fact("w1"), fact("w2"), fact("w2", 2), fact("w1", 2))
    await line.forwarder().step()
    assert (line.broker.versions("w1"), line.broker.versions("w2")) == ([1, 2], [])
    assert [one.position for one in await line.parked()] == [2, 3]
    assert await line.place() == 4


async def test_one_replica_forwards_at_a_time(line: Line) -> None:
    await line.say(fact("w1"))
    first, second = line.forwarder(), line.forwarder()
    holding = PostgresFactStream(line.own, FORWARDER, Wakeups())
    assert await holding.activate()
    assert (await first.step(), await second.step()) == (0, 0)
    await holding.release()
    assert await second.step() == 1


async def test_one_with_older_settings_stands_by(line: Line) -> None:
    await line.say(fact("w1"))
    assert await line.forwarder(frozenset((topics.QUEUE_CODER,))).step() == 0
    assert await line.place() == 0
    assert await line.forwarder().step() == 1


async def test_one_that_others_know_nothing_of_tells_so(line: Line) -> None:
    # Whoever started last sends nothing by Kafka.
    await carry(line.relay, ())
    await line.say(fact("w1"))
    forwarder = line.forwarder()
    assert (await forwarder.step(), await forwarder.step()) == (0, 0)
    async with line.own.transaction(None) as tx:
        row = await tx.fetch_one("SELECT trouble FROM ameide.role_seen WHERE role = 'forwarder'")
    assert row is not None
    assert topics.QUEUE_CODER in str(row["trouble"])


async def test_topics_are_made_once_and_nothing_is_given_before(line: Line) -> None:
    line.broker.reachable = False
    await line.say(fact("w1"))
    forwarder = line.forwarder()
    with pytest.raises(Unreachable):
        await forwarder.step()
    assert (line.broker.taken, await line.place()) == ([], 0)
    line.broker.reachable = True
    assert (await forwarder.step(), await forwarder.step()) == (1, 0)
    assert line.broker.prepared == 1


async def test_what_hinders_it_is_told_until_it_goes_on(line: Line) -> None:
    line.broker.reachable = False
    await line.say(fact("w1"))
    wakeups = Wakeups()
    forwarder = line.forwarder(wakeups=wakeups)

    async def trouble() -> str:
        async with line.own.transaction(None) as tx:
            row = await tx.fetch_one("SELECT trouble FROM ameide.role_seen WHERE role = 'forwarder'")
        return str(row["trouble"]) if row else ""

    running = asyncio.create_task(forwarder.run())

    async def hindered() -> bool:
        return "no broker" in await trouble()

    async def goes_on() -> bool:
        return not await trouble() and await line.place() == 1

    await until(hindered, "its trouble to be told")
    line.broker.reachable = True
    await until(goes_on, "it to go on")
    wakeups.close()
    await running
