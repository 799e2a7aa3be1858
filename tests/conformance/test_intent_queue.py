"""Every intent queue hands an invitation to one competitor at a time, and again when it was not acknowledged."""

import asyncio
import time

import pytest

from ameide.contracts import topics
from ameide.events.ports import IntentQueue, Invitation
from tests.conformance.carriers import Carrier, intent

_PATIENCE = 30.0


async def _take(carrier: Carrier, queue: IntentQueue, number: int) -> list[Invitation]:
    """The next so many, each acknowledged."""
    taken: list[Invitation] = []
    deadline = time.monotonic() + _PATIENCE
    while len(taken) < number and time.monotonic() < deadline:
        async with queue.receive([carrier.name(topics.QUEUE_VERIFY)]) as delivery:
            if delivery is not None:
                await delivery.acknowledge()
                taken.append(delivery.invitation)
    return taken


async def _works(carrier: Carrier, queue: IntentQueue, number: int) -> set[str]:
    return {invitation.work_request_id for invitation in await _take(carrier, queue, number)}


async def _nothing_left(carrier: Carrier) -> None:
    """What is published last, to each key, is all that comes."""
    await carrier.publish(*(intent(f"w{number}", 9) for number in range(1, 9)))
    for invitation in await _take(carrier, carrier.queue(), 8):
        assert invitation.dispatch == 9


async def test_only_of_the_queues_asked_for_and_each_key_in_order(carrier: Carrier):
    await carrier.publish(intent("w1"), intent("w2", queue=topics.QUEUE_CODER), intent("w3"))
    assert await _works(carrier, carrier.queue(), 2) == {"w1", "w3"}
    await _nothing_left(carrier)


async def test_an_acknowledged_invitation_is_used_up(carrier: Carrier):
    await carrier.publish(intent("w1"))
    queue = carrier.queue()
    assert await _works(carrier, queue, 1) == {"w1"}
    await queue.close()
    await _nothing_left(carrier)


async def _fail_with_an_invitation_in_hand(carrier: Carrier, queue: IntentQueue) -> None:
    while True:
        async with queue.receive([carrier.name(topics.QUEUE_VERIFY)]) as delivery:
            if delivery is not None:
                raise ConnectionResetError


async def test_redelivered_after_a_failure_before_the_acknowledgement(carrier: Carrier):
    await carrier.publish(intent("w1"))
    failing = carrier.queue()
    with pytest.raises(ConnectionResetError):
        await _fail_with_an_invitation_in_hand(carrier, failing)
    assert await _works(carrier, carrier.queue(), 1) == {"w1"}
    await carrier.publish(intent("w2"))
    assert await _works(carrier, failing, 1) == {"w2"}


async def test_competing_consumers_share_without_overlap(carrier: Carrier):
    works = [f"w{number:02}" for number in range(40)]
    await carrier.publish(*(intent(work) for work in works))
    taken: list[str] = []

    async def compete() -> None:
        queue = carrier.queue()
        while len(taken) < len(works):
            async with queue.receive([carrier.name(topics.QUEUE_VERIFY)]) as delivery:
                if delivery is not None:
                    await delivery.acknowledge()
                    taken.append(delivery.invitation.work_request_id)

    async with asyncio.timeout(_PATIENCE):
        await asyncio.gather(*(compete() for _ in range(4)))
    assert sorted(taken) == works


async def test_an_invitation_in_hand_is_hidden_from_others(carrier: Carrier):
    await carrier.publish(intent("w1"))
    queue, other = carrier.queue(), carrier.queue()
    name = carrier.name(topics.QUEUE_VERIFY)
    async with asyncio.timeout(_PATIENCE):
        while True:
            async with queue.receive([name]) as first:
                if first is not None:
                    async with other.receive([name]) as second:
                        assert second is None
                    await first.acknowledge()
                    return


async def test_what_lies_behind_an_invitation_that_is_worked_on_goes_to_others(carrier: Carrier):
    """A consumer that works does not ask for more, and keeps nothing for itself."""
    await carrier.publish(*(intent(f"w{number}") for number in range(1, 7)))
    working = carrier.queue()
    [first] = await _works(carrier, working, 1)
    began = time.monotonic()
    rest = await _works(carrier, carrier.queue(), 5)
    assert rest | {first} == {f"w{number}" for number in range(1, 7)}
    assert time.monotonic() - began < 20


async def test_of_several_dispatches_the_last_one_comes(carrier: Carrier):
    await carrier.publish(intent("w1", 1))
    await carrier.publish(intent("w1", 2), intent("w1", 3))
    queue = carrier.queue()
    taken = await _take(carrier, queue, 1 if carrier.exclusive else 3)
    assert [invitation.dispatch for invitation in taken] == ([3] if carrier.exclusive else [1, 2, 3])
    assert {invitation.tenant_id for invitation in taken} == {"acme"}
    await queue.close()
    await _nothing_left(carrier)


async def test_what_cannot_be_read_does_not_stop_the_queue(carrier: Carrier):
    await carrier.garble(topics.QUEUE_VERIFY, "acme:w1")
    await carrier.publish(intent("w1"))
    assert await _works(carrier, carrier.queue(), 1) == {"w1"}
