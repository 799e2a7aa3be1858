"""Every fact stream keeps the order of a key, delivers at least once, and lets one member at a time work on a key."""

import asyncio
import time

import pytest

from ameide.contracts import topics
from ameide.errors import Refused, Unreachable
from ameide.events.consumer import Consumer
from ameide.events.messages import LoggedMessage
from tests.conformance.carriers import Carrier, fact
from tests.faults.rig.patience import pause

_PATIENCE = 30.0


class Worker:
    """Works like ingress does: parks what waits or cannot be processed, acknowledges everything."""

    def __init__(self, consumer: Consumer, poison: str = "") -> None:
        self._consumer = consumer
        self.poison = poison.encode()
        self.done: list[LoggedMessage] = []
        self.parked: list[LoggedMessage] = []

    async def until(self, number: int) -> list[LoggedMessage]:
        """Until it is done with so many, or has parked them; returns what was done since the last time."""
        self.done, self.parked = [], []
        async with asyncio.timeout(_PATIENCE):
            while len(self.done) + len(self.parked) < number:
                await self.turn()
        return self.done

    async def turn(self) -> None:
        """One batch, or a wait for one."""
        try:
            batch = await self._consumer.next_batch(3)
            if not batch:
                await self._consumer.wait(0.2)
            for message in batch:
                await self._process(message)
                await self._consumer.acknowledge(message.position)
        except Unreachable:
            await pause()

    async def _process(self, message: LoggedMessage) -> None:
        if self._consumer.is_parked(message.key):
            await self._consumer.park(message, message.key, "behind")
            self.parked.append(message)
        elif self.poison and message.payload == self.poison:
            await self._consumer.park(message, message.key, "cannot be decoded")
            self.parked.append(message)
        else:
            self.done.append(message)


async def _batch(consumer: Consumer, number: int) -> list[LoggedMessage]:
    """The first batch that holds so many."""
    deadline = time.monotonic() + _PATIENCE
    while len(batch := await consumer.next_batch()) < number:
        assert time.monotonic() < deadline
        await consumer.wait(0.2)
    return batch


def _versions(messages: list[LoggedMessage], aggregate: str) -> list[int]:
    return [message.aggregate_version for message in messages if message.aggregate_id == aggregate]


async def test_order_per_key_and_contiguous_positions(carrier: Carrier):
    for version in range(1, 6):
        await carrier.publish(fact("a", version), fact("b", version))
    done = await Worker(carrier.consumer()).until(10)
    assert _versions(done, "a") == [1, 2, 3, 4, 5]
    assert _versions(done, "b") == [1, 2, 3, 4, 5]
    assert sorted(message.position for message in done) == list(range(1, 11))
    if carrier.exclusive:
        assert [message.position for message in done] == list(range(1, 11))


async def test_a_batch_is_in_order_of_the_log(carrier: Carrier):
    await carrier.publish(*(fact(f"a{number}", 1) for number in range(12)))
    batch = await _batch(carrier.consumer(), 12)
    assert [message.position for message in batch] == list(range(1, 13))


async def test_the_message_arrives_whole(carrier: Carrier):
    sent = fact("a", 7, payload=bytes(range(256)))
    await carrier.publish(sent)
    [got] = await _batch(carrier.consumer(), 1)
    assert got.columns == {name: getattr(sent, name) for name in got.columns} | {"topic": carrier.name(sent.topic)}


async def test_what_was_not_acknowledged_comes_again_after_a_failure(carrier: Carrier):
    await carrier.publish(*(fact("a", version) for version in (1, 2, 3)))
    failed = carrier.consumer()
    async with failed:
        first, *_ = await _batch(failed, 3)
        await failed.acknowledge(first.position)
    again = await _batch(carrier.consumer(), 2)
    assert [message.aggregate_version for message in again] == [2, 3]


async def test_a_member_fetches_again_what_it_did_not_acknowledge(carrier: Carrier):
    await carrier.publish(*(fact("a", version) for version in (1, 2, 3)))
    consumer = carrier.consumer()
    first, *_ = await _batch(consumer, 3)
    await consumer.acknowledge(first.position)
    assert _versions(await _batch(consumer, 2), "a") == [2, 3]


async def test_one_member_at_a_time_has_a_key(carrier: Carrier):
    await carrier.publish(fact("a", 1))
    active, standby = carrier.consumer(), carrier.consumer()
    [message] = await _batch(active, 1)
    assert await standby.next_batch() == []
    await active.acknowledge(message.position)
    await carrier.publish(fact("a", 2))
    seen: list[int] = []
    async with asyncio.timeout(_PATIENCE):
        while not seen:
            for member in (standby, active):
                for message in await member.next_batch():
                    seen.append(message.aggregate_version)
                    await member.acknowledge(message.position)
    assert seen == [2]


async def test_another_member_takes_over_at_once_from_one_that_leaves(carrier: Carrier):
    await carrier.publish(fact("a", 1))
    leaving, staying = carrier.consumer(), carrier.consumer()
    async with leaving:
        assert _versions(await _batch(leaving, 1), "a") == [1]
    began = time.monotonic()
    assert _versions(await _batch(staying, 1), "a") == [1]
    assert time.monotonic() - began < 5


async def test_a_stream_acknowledges_only_while_active(carrier: Carrier):
    with pytest.raises(Refused, match="not active"):
        await carrier.stream().acknowledge(1)


async def test_a_batch_is_no_longer_than_asked_for(carrier: Carrier):
    await carrier.publish(*(fact(f"a{number % 5}", number) for number in range(50)))
    consumer, seen = carrier.consumer(), list[int]()
    async with asyncio.timeout(_PATIENCE):
        while len(seen) < 50:
            batch = await consumer.next_batch(7)
            assert len(batch) <= 7
            for message in batch:
                seen.append(message.position)
                await consumer.acknowledge(message.position)
    assert sorted(seen) == list(range(1, 51))


async def test_a_poison_message_parks_its_key_and_others_flow(carrier: Carrier):
    await carrier.publish(fact("a", 1), fact("a", 2, payload=b"poison"), fact("b", 1), fact("a", 3))
    await carrier.publish(fact("b", 2), fact("a", 4))
    done = await Worker(carrier.consumer(), "poison").until(6)
    assert _versions(done, "a") == [1]
    assert _versions(done, "b") == [1, 2]


async def test_what_is_no_message_does_not_stop_the_stream(carrier: Carrier):
    await carrier.garble(topics.GOVERNANCE_FACTS, "acme:a")
    await carrier.publish(fact("a", 1), fact("a", 2))
    assert _versions(await Worker(carrier.consumer()).until(2), "a") == [1, 2]


async def test_redrive_delivers_the_parked_key_in_order_before_anything_newer(carrier: Carrier):
    await carrier.publish(fact("a", 1, payload=b"poison"), fact("a", 2), fact("b", 1))
    worker = Worker(carrier.consumer(), "poison")
    await worker.until(3)
    await carrier.publish(fact("a", 3))
    await worker.until(1)
    assert await carrier.redrive("acme:a") == 3
    await carrier.publish(fact("a", 4))
    worker.poison = b""
    done = await worker.until(4)
    assert [(message.aggregate_version, message.redriven) for message in done] == [
        (1, True),
        (2, True),
        (3, True),
        (4, False),
    ]
    assert await carrier.redrive("acme:a") == 0


async def test_a_redriven_message_that_fails_again_holds_its_key(carrier: Carrier):
    await carrier.publish(fact("a", 1), fact("a", 2, payload=b"poison"), fact("a", 3))
    worker = Worker(carrier.consumer(), "poison")
    await worker.until(3)
    await carrier.redrive("acme:a")
    await carrier.publish(fact("a", 4), fact("b", 1))
    done = await worker.until(4)
    assert _versions(done, "a") == []
    assert _versions(done, "b") == [1]
    assert await carrier.redrive("acme:a") == 3
    worker.poison = b""
    assert _versions(await worker.until(3), "a") == [2, 3, 4]


async def test_redriven_messages_left_unacknowledged_come_again(carrier: Carrier):
    await carrier.publish(fact("a", 1, payload=b"poison"), fact("a", 2))
    failed = carrier.consumer()
    await Worker(failed, "poison").until(2)
    await carrier.redrive("acme:a")
    async with failed:
        first, *_ = await _batch(failed, 2)
        await failed.acknowledge(first.position)
    assert _versions(await Worker(carrier.consumer()).until(1), "a") == [2]
