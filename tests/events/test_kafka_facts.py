"""What Kafka's fact stream adds to the suite of all streams: members with partitions of their own, and losing them."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import count

import pytest

from ameide.errors import Unreachable
from ameide.events.backends.kafka.connection import KafkaConnection
from ameide.events.backends.kafka.facts import Attest, KafkaFactStream
from ameide.events.backends.kafka.publisher import Publisher
from ameide.events.log import attested, read
from ameide.events.messages import LoggedMessage
from ameide.telemetry.metrics import REGISTRY
from tests.conformance.carriers import fact
from tests.engines.kafka.broker import KafkaBroker
from tests.events import messages
from tests.events.conftest import Pools
from tests.events.kafka_world import committed, logged, make_topics, remove_records

_PATIENCE = 30.0
_PARTITIONS = 3
_numbers = count(1)


class World:
    """A topic and a group of their own."""

    def __init__(self, connection: KafkaConnection) -> None:
        number = next(_numbers)
        self.connection, self.topic, self.group = connection, f"facts.{number}", f"facts-{number}"
        self._opened: list[KafkaFactStream] = []

    async def publish(self, positions: Iterable[int], payload: bytes = b"fact") -> None:
        """Facts at these positions, each of one of nine aggregates."""
        sent = [
            logged(number, replace(fact(f"a{number % 9}", number, payload=payload), topic=self.topic))
            for number in positions
        ]
        await self.send(*sent)

    async def send(self, *sent: LoggedMessage) -> None:
        """These records, whoever writes them."""
        async with Publisher(self.connection) as publisher:
            assert set(await publisher.publish(sent)) == {None}

    def stream(self, *, session: float = 6.0, poll: float = 30.0, attest: Attest | None = None) -> KafkaFactStream:
        """A new member."""
        made = KafkaFactStream(
            self.connection, self.group, [self.topic], session_seconds=session, poll_seconds=poll, attest=attest
        )
        self._opened.append(made)
        return made

    async def committed(self) -> int:
        """How many facts the group is done with, all partitions together."""
        offsets = [await committed(self.connection, self.group, self.topic, n) for n in range(_PARTITIONS)]
        return sum(max(0, offset) for offset in offsets)

    async def close(self) -> None:
        """Have all leave."""
        for stream in self._opened:
            await stream.close()


@pytest.fixture
async def world(kafka: KafkaBroker) -> AsyncGenerator[World]:
    """A topic with nothing in it."""
    made = World(KafkaConnection(kafka.brokers))
    await make_topics(made.connection, [made.topic], _PARTITIONS)
    yield made
    await made.close()


async def _fetched(stream: KafkaFactStream, number: int, most: int = 100) -> list[LoggedMessage]:
    """The first batch that holds so many."""
    async with asyncio.timeout(_PATIENCE):
        while True:
            if await stream.activate() and len(batch := await stream.fetch(most)) >= number:
                return batch
            await stream.wait(0.2)


async def _drained(streams: list[KafkaFactStream], number: int) -> list[list[int]]:
    """By stream, the positions that it was done with until all together were done with so many."""
    done = [list[int]() for _ in streams]

    async def work(stream: KafkaFactStream, own: list[int]) -> None:
        while sum(map(len, done)) < number:
            batch = await stream.fetch(10) if await stream.activate() else []
            for message in batch:
                own.append(message.position)
                await stream.acknowledge(message.position)
            await stream.release()
            if not batch:
                await stream.wait(0.2)

    async with asyncio.timeout(_PATIENCE):
        await asyncio.gather(*(work(stream, own) for stream, own in zip(streams, done, strict=True)))
    return done


async def test_members_share_the_partitions_and_who_has_none_stands_by(world: World):
    streams = [world.stream() for _ in range(_PARTITIONS + 1)]
    async with asyncio.timeout(_PATIENCE):
        while sum([await stream.activate() for stream in streams]) != _PARTITIONS:
            await asyncio.gather(*(stream.wait(0.2) for stream in streams))
    await world.publish(range(1, 91))
    done = await _drained(streams, 90)
    assert sorted(position for own in done for position in own) == list(range(1, 91))
    assert sorted(map(bool, done)) == [False, True, True, True]
    for own in done:
        for aggregate in range(9):
            positions = [position for position in own if position % 9 == aggregate]
            assert positions == sorted(positions)


async def test_who_was_too_long_over_a_batch_loses_it_and_notices_without_an_error(world: World):
    await world.publish(range(1, 10))
    slow, quick = world.stream(session=1, poll=1), world.stream()
    batch = await _fetched(slow, 9)
    # The other one gets what the silent one does not let go of.
    assert len(await _fetched(quick, 9)) == 9
    await slow.acknowledge(batch[-1].position)
    await slow.release()
    assert await world.committed() == 0
    [message, *_] = await _fetched(quick, 9)
    await quick.acknowledge(message.position)
    await quick.release()
    assert await world.committed() == 1
    await quick.close()
    assert [message.position for message in await _fetched(slow, 8)] == [
        n for n in range(1, 10) if n != message.position
    ]


async def test_facts_that_were_written_again_come_again_in_order(world: World):
    await world.publish([*range(1, 19), *range(5, 27), 3])
    stream = world.stream()
    batch = await _fetched(stream, 26)
    assert [message.position for message in batch] == list(range(1, 27))
    # The third was written last, too: it is done there, and what lies before it in its partition is not.
    await stream.acknowledge(3)
    await stream.close()
    stream = world.stream()
    rest = [message.position for message in await _fetched(stream, 23)]
    assert set(rest) - {1, 2, 3} == set(range(4, 27))
    assert rest == sorted(rest)
    await stream.acknowledge(26)
    await stream.release()
    assert await world.committed() == 18 + 22 + 1


async def test_no_more_is_fetched_than_is_asked_for_while_the_group_is_heard(world: World):
    await world.publish(range(1, 3001), payload=bytes(1000))
    stream = world.stream()
    await _fetched(stream, 10, most=10)
    for _ in range(1000):
        assert await stream.activate()
        assert len(await stream.fetch(10)) == 10
    assert stream.waiting < 600
    [done] = await _drained([stream], 3000)
    assert sorted(done) == list(range(1, 3001))


async def test_facts_that_left_the_topic_unread_are_counted(world: World):
    await world.publish(range(1, 10))
    stream = world.stream()
    await _drained([stream], 9)
    await stream.close()
    await world.publish(range(10, 100))
    await remove_records(world.connection, world.topic)
    await world.publish(range(100, 109))
    [done] = await _drained([world.stream()], 9)
    assert sorted(done) == list(range(100, 109))
    assert REGISTRY.get_sample_value("events_processed_total", {"consumer": world.group, "outcome": "missed"}) == 90


async def test_what_the_log_does_not_say_is_passed_over(world: World, pools: Pools):
    app, relay = await pools.role("ameide_app"), messages.relay_of(await pools.role("ameide_relay"))
    await messages.say(app, relay, *(replace(messages.fact(f"w{n}"), topic=world.topic) for n in range(3)))
    ingress = await pools.role("ameide_ingress")
    async with ingress.transaction(None) as tx:
        genuine = await read(tx, 0, 10)
    first, last = genuine[0], genuine[-1]
    behind = [replace(last, position=last.position + n) for n in range(1, 5)]
    made_up = [
        replace(first, message_id="msg-other", process_instance_id="r2r/acme/chg-2/1"),
        replace(first, payload=b"another"),
        replace(last, tenant_id="other"),
        behind[0],
        replace(behind[1], aggregate_version=1 << 80, causation_id="c" * 10_000),
        replace(behind[2], occurred_at=last.occurred_at - timedelta(days=1)),
        replace(behind[3], position=(1 << 63) - 1, name="Work\0Started", key="k" * 4000),
    ]
    await world.send(*made_up[:4], *genuine, *made_up[4:], *genuine)
    stream, came = world.stream(attest=partial(attested, ingress)), set[LoggedMessage]()
    async with asyncio.timeout(_PATIENCE):
        while await world.committed() < len(made_up) + 2 * len(genuine):
            for message in await stream.fetch(100) if await stream.activate() else []:
                came.add(message)
                await stream.acknowledge(message.position)
            await stream.release()
            await stream.wait(0.2)
    assert came == set(genuine)
    counted = {"consumer": world.group, "outcome": "not_in_log"}
    assert REGISTRY.get_sample_value("events_processed_total", counted) == len(made_up)


async def test_a_topic_that_is_not_there_is_said(kafka: KafkaBroker):
    world = World(KafkaConnection(kafka.brokers))
    stream = world.stream()
    with pytest.raises(Unreachable, match="forwarder makes the topics"):
        await _fetched(stream, 1)
    await world.close()
