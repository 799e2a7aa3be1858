"""Every intent queue hands an invitation to one competitor at a time, and again when it was not acknowledged."""

import asyncio

import pytest

from ameide.contracts import topics
from tests.conformance.carriers import Carrier, intent

QUEUES = [topics.QUEUE_VERIFY]


async def _take_all(carrier: Carrier) -> list[str]:
    queue = carrier.queue()
    taken: list[str] = []
    while True:
        async with queue.receive(QUEUES) as delivery:
            if delivery is None:
                return taken
            taken.append(delivery.invitation.work_request_id)
            await delivery.acknowledge()


async def test_oldest_first_and_only_of_the_queues_asked_for(carrier: Carrier):
    await carrier.publish(intent("w1"), intent("w2", queue=topics.QUEUE_CODER), intent("w3"))
    assert await _take_all(carrier) == ["w1", "w3"]


async def test_an_acknowledged_invitation_is_used_up(carrier: Carrier):
    await carrier.publish(intent("w1"))
    assert await _take_all(carrier) == ["w1"]
    assert await _take_all(carrier) == []


async def _crash_with_an_invitation_in_hand(carrier: Carrier) -> None:
    async with carrier.queue().receive(QUEUES) as delivery:
        assert delivery is not None
        raise ConnectionResetError


async def test_redelivered_after_a_crash_before_the_acknowledgement(carrier: Carrier):
    await carrier.publish(intent("w1"))
    with pytest.raises(ConnectionResetError):
        await _crash_with_an_invitation_in_hand(carrier)
    assert await _take_all(carrier) == ["w1"]


async def test_competing_consumers_share_without_overlap(carrier: Carrier):
    works = [f"w{number:02}" for number in range(40)]
    await carrier.publish(*(intent(work) for work in works))
    shares = await asyncio.gather(*(_take_all(carrier) for _ in range(4)))
    assert sorted(work for share in shares for work in share) == works


async def test_an_invitation_in_hand_is_hidden_from_others(carrier: Carrier):
    await carrier.publish(intent("w1"))
    async with carrier.queue().receive(QUEUES) as first, carrier.queue().receive(QUEUES) as second:
        assert first is not None
        assert second is None


async def test_a_later_dispatch_replaces_an_earlier_one(carrier: Carrier):
    await carrier.publish(intent("w1", 1))
    await carrier.publish(intent("w1", 2), intent("w1", 3))
    async with carrier.queue().receive(QUEUES) as delivery:
        assert delivery is not None
        assert delivery.invitation.dispatch == 3
        assert delivery.invitation.tenant_id == "acme"
        await delivery.acknowledge()
    assert await _take_all(carrier) == []
