"""Every fact stream keeps the order of a key, delivers at least once, and lets one member at a time work."""

import pytest

from ameide.errors import Refused
from ameide.events.consumer import Consumer
from ameide.events.messages import LoggedMessage
from tests.conformance.carriers import Carrier, fact


async def _drain(consumer: Consumer, poison: str = "") -> list[LoggedMessage]:
    """Work like ingress does: park what waits or cannot be processed, acknowledge everything."""
    done: list[LoggedMessage] = []
    while batch := await consumer.next_batch(3):
        for message in batch:
            if consumer.is_parked(message.key):
                await consumer.park(message, message.key, "behind")
            elif poison and message.payload == poison.encode():
                await consumer.park(message, message.key, "cannot be decoded")
            else:
                done.append(message)
            await consumer.acknowledge(message.position)
    return done


def _versions(messages: list[LoggedMessage], aggregate: str) -> list[int]:
    return [message.aggregate_version for message in messages if message.aggregate_id == aggregate]


async def test_order_per_key_and_contiguous_positions(carrier: Carrier):
    for version in range(1, 6):
        await carrier.publish(fact("a", version), fact("b", version))
    done = await _drain(carrier.consumer())
    assert _versions(done, "a") == [1, 2, 3, 4, 5]
    assert _versions(done, "b") == [1, 2, 3, 4, 5]
    assert [message.position for message in done] == list(range(1, 11))


async def test_the_message_arrives_whole(carrier: Carrier):
    sent = fact("a", 7, payload=bytes(range(256)))
    await carrier.publish(sent)
    [got] = await carrier.consumer().next_batch()
    assert got.columns == {name: getattr(sent, name) for name in got.columns}


async def test_what_was_not_acknowledged_comes_again_after_a_crash(carrier: Carrier):
    await carrier.publish(*(fact("a", version) for version in (1, 2, 3)))
    crashed = carrier.consumer()
    first, *_ = await crashed.next_batch()
    await crashed.acknowledge(first.position)
    await crashed.release()
    again = await carrier.consumer().next_batch()
    assert [message.aggregate_version for message in again] == [2, 3]


async def test_a_member_stands_by_while_another_is_active(carrier: Carrier):
    await carrier.publish(fact("a", 1))
    active, standby = carrier.consumer(), carrier.consumer()
    [message] = await active.next_batch()
    assert await standby.next_batch() == []
    await active.acknowledge(message.position)
    await carrier.publish(fact("a", 2))
    [taken_over] = await standby.next_batch()
    assert taken_over.aggregate_version == 2


async def test_a_stream_acknowledges_only_while_active(carrier: Carrier):
    with pytest.raises(Refused, match="not active"):
        await carrier.stream().acknowledge(1)


async def test_a_poison_message_parks_its_key_and_others_flow(carrier: Carrier):
    await carrier.publish(fact("a", 1), fact("a", 2, payload=b"poison"), fact("b", 1), fact("a", 3))
    await carrier.publish(fact("b", 2), fact("a", 4))
    done = await _drain(carrier.consumer(), "poison")
    assert _versions(done, "a") == [1]
    assert _versions(done, "b") == [1, 2]


async def test_redrive_delivers_the_parked_key_in_order_before_anything_newer(carrier: Carrier):
    await carrier.publish(fact("a", 1, payload=b"poison"), fact("a", 2), fact("b", 1))
    consumer = carrier.consumer()
    await _drain(consumer, "poison")
    await carrier.publish(fact("a", 3))
    await _drain(consumer, "poison")
    assert await carrier.redrive("acme:a") == 3
    await carrier.publish(fact("a", 4))
    done = await _drain(consumer)
    assert [(message.aggregate_version, message.redriven) for message in done] == [
        (1, True),
        (2, True),
        (3, True),
        (4, False),
    ]
    assert await carrier.redrive("acme:a") == 0


async def test_a_redriven_message_that_fails_again_holds_its_key(carrier: Carrier):
    await carrier.publish(fact("a", 1), fact("a", 2, payload=b"poison"), fact("a", 3))
    consumer = carrier.consumer()
    await _drain(consumer, "poison")
    await carrier.redrive("acme:a")
    await carrier.publish(fact("a", 4), fact("b", 1))
    done = await _drain(consumer, "poison")
    assert _versions(done, "a") == []
    assert _versions(done, "b") == [1]
    assert await carrier.redrive("acme:a") == 3
    assert _versions(await _drain(consumer), "a") == [2, 3, 4]


async def test_redriven_messages_left_unacknowledged_come_again(carrier: Carrier):
    await carrier.publish(fact("a", 1, payload=b"poison"), fact("a", 2))
    await _drain(carrier.consumer(), "poison")
    await carrier.redrive("acme:a")
    crashed = carrier.consumer()
    first, *_ = await crashed.next_batch()
    await crashed.acknowledge(first.position)
    await crashed.release()
    assert _versions(await _drain(carrier.consumer()), "a") == [2]
