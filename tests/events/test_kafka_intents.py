"""What Kafka's intent queue adds to the suite of all queues: members that die, come in between, or lose the broker."""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count

import pytest

from ameide.contracts.topics import consumer_group
from ameide.errors import Unreachable
from ameide.events.backends.kafka.connection import KafkaConnection
from ameide.events.backends.kafka.intents import KafkaIntentQueue
from ameide.events.backends.kafka.publisher import Publisher
from ameide.events.ports import Delivery
from ameide.telemetry.metrics import REGISTRY
from tests.conformance.carriers import intent
from tests.engines.kafka.broker import KafkaBroker
from tests.events.kafka_world import committed, garble, logged, make_topics, makes_topics_again

_PATIENCE = 30.0
_SESSION = 3.0
_numbers = count(1)


class World:
    """A queue of its own, with one partition, and those who compete for it."""

    def __init__(self, connection: KafkaConnection) -> None:
        self.connection = connection
        self.name = f"intents.{next(_numbers)}"
        self._positions = count(1)
        self._opened: list[KafkaIntentQueue] = []

    async def publish(self, *works: str) -> None:
        """One invitation to each work."""
        async with Publisher(self.connection) as publisher:
            sent = [logged(next(self._positions), replace(intent(work), topic=self.name)) for work in works]
            assert set(await publisher.publish(sent)) == {None}

    def queue(self, *, held: float = 5.0) -> KafkaIntentQueue:
        """A new competitor."""
        self._opened.append(KafkaIntentQueue(self.connection, _SESSION, held=held))
        return self._opened[-1]

    @asynccontextmanager
    async def taken(self, queue: KafkaIntentQueue) -> AsyncGenerator[Delivery]:
        """The next invitation, in hand."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            async with queue.receive([self.name]) as delivery:
                if delivery is not None:
                    yield delivery
                    return
        raise TimeoutError("no invitation came")

    async def take(self, queue: KafkaIntentQueue) -> str:
        """The work of the next invitation, acknowledged."""
        async with self.taken(queue) as delivery:
            await delivery.acknowledge()
            return delivery.invitation.work_request_id

    async def close(self) -> None:
        """Have all leave."""
        for queue in self._opened:
            await queue.close()


@pytest.fixture
async def world(kafka: KafkaBroker) -> AsyncGenerator[World]:
    """A queue with nothing in it."""
    made = World(KafkaConnection(kafka.brokers))
    await make_topics(made.connection, [made.name], 1)
    yield made
    await made.close()


async def test_an_invitation_of_a_killed_process_comes_again_within_the_session(world: World, kafka: KafkaBroker):
    await world.publish("w1")
    holder = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.events.kafka_killed", kafka.brokers, world.name, str(_SESSION)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert holder.stdout
    async with asyncio.timeout(_PATIENCE):
        assert await holder.stdout.readline() == b"w1\n"
    holder.kill()
    killed = time.monotonic()
    assert await world.take(world.queue()) == "w1"
    # Until the silence is noticed, and until the one who waits is told, on a machine that has other things to do.
    assert time.monotonic() - killed < _SESSION + 10
    await holder.wait()


async def test_who_comes_while_an_invitation_is_in_hand_need_not_wait_long_for_its_claim(kafka: KafkaBroker):
    world = World(KafkaConnection(kafka.brokers))
    await make_topics(world.connection, [world.name], 4)
    await world.publish(*(f"w{number}" for number in range(12)))
    slow, quick = world.queue(held=0.5), world.queue()
    async with world.taken(slow) as delivery:
        # Half of the partitions go to the other one, maybe that of the invitation in hand, which it then sees, too.
        async with asyncio.timeout(_PATIENCE):
            assert await world.take(quick)
        # Who lost the partition meanwhile notes nothing and tells nobody, least of all the one who works.
        await delivery.acknowledge()
    seen = {delivery.invitation.work_request_id}
    async with asyncio.timeout(_PATIENCE):
        while len(seen) < 11:
            seen.add(await world.take(quick))
    await world.close()


async def test_a_broker_that_goes_away_costs_no_claim(world: World, kafka: KafkaBroker):
    await world.publish("w1")
    queue = world.queue()
    async with world.taken(queue) as delivery:
        kafka.freeze()
        try:
            began = time.monotonic()
            await delivery.acknowledge()
            assert time.monotonic() - began < 10
        finally:
            kafka.thaw()
    async with asyncio.timeout(_PATIENCE):
        await makes_topics_again(world.connection, World(world.connection).name)


async def test_what_cannot_be_read_is_counted_and_passed_over(world: World):
    group = consumer_group(world.name)
    await garble(world.connection, world.name, 3)
    await world.publish("w1")
    queue = world.queue()
    assert await world.take(queue) == "w1"
    assert await committed(world.connection, group, world.name) == 4
    assert REGISTRY.get_sample_value("events_processed_total", {"consumer": group, "outcome": "undecodable"}) == 3


async def test_one_slot_asks_for_several_queues(world: World):
    other = World(world.connection)
    await make_topics(other.connection, [other.name], 1)
    await world.publish("w1")
    await other.publish("w2")
    queue, works = world.queue(), set[str]()
    async with asyncio.timeout(_PATIENCE):
        while len(works) < 2:
            async with queue.receive([world.name, other.name]) as delivery:
                if delivery is not None:
                    works.add(delivery.invitation.work_request_id)
                    await delivery.acknowledge()
    assert works == {"w1", "w2"}


async def test_a_queue_without_its_topic_says_who_makes_it_and_goes_on_once_it_is_there(kafka: KafkaBroker):
    world = World(KafkaConnection(kafka.brokers))
    queue = world.queue()
    with pytest.raises(Unreachable, match="forwarder makes the topics"):
        await world.take(queue)
    await make_topics(world.connection, [world.name], 1)
    await world.publish("w1")
    async with asyncio.timeout(_PATIENCE):
        while True:
            try:
                assert await world.take(queue) == "w1"
                break
            except Unreachable:
                continue
    await world.close()
