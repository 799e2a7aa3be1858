"""The server goes away in the middle of everything, without a word, and comes back: nothing is lost or out of order."""

import asyncio
from contextlib import suppress

from ameide.contracts import topics
from ameide.errors import Unreachable
from ameide.events.consumer import Consumer
from ameide.events.ports import IntentQueue
from tests.conformance.carriers import Carrier, fact, intent
from tests.faults.rig.patience import pause

_PATIENCE = 120.0


async def test_the_server_goes_away_in_the_middle(carrier: Carrier):
    facts = [fact("a", version) for version in (1, 2, 3)]
    await carrier.publish(*facts, intent("w1"), intent("w2"), intent("w3"))
    consumer, queue = carrier.consumer(), carrier.queue()
    async with asyncio.timeout(_PATIENCE):
        while len(batch := await consumer.next_batch()) < 3:
            await consumer.wait(0.2)
        used = await _works(carrier, queue, 1)
        await _restart_with_an_invitation_in_hand(carrier, queue)
        # It says so, or takes it for acknowledged; either way the rest comes, in order.
        with suppress(Unreachable):
            await consumer.acknowledge(batch[0].position)
            await consumer.release()
        await carrier.publish(fact("a", 4), intent("w4"))
        assert await _versions(consumer) in ([2, 3, 4], [1, 2, 3, 4])
        # What was in hand comes again, unless its acknowledgement was heard.
        left = {"w1", "w2", "w3", "w4"} - used
        works = await _works(carrier, queue, len(left) - 1)
        assert works <= left
        if "w4" not in works:
            works |= await _works(carrier, queue, 1)
        assert "w4" in works


async def _restart_with_an_invitation_in_hand(carrier: Carrier, queue: IntentQueue) -> None:
    name = carrier.name(topics.QUEUE_VERIFY)
    taken = False
    while not taken:
        with suppress(Unreachable):
            async with queue.receive([name]) as delivery:
                if delivery is not None:
                    taken = True
                    await carrier.restart()
                    await delivery.acknowledge()


async def _versions(consumer: Consumer) -> list[int]:
    """Of the facts until the fourth one."""
    seen: list[int] = []
    while 4 not in seen:
        try:
            batch = await consumer.next_batch()
            for message in batch:
                seen += [message.aggregate_version] if message.aggregate_id == "a" else []
                await consumer.acknowledge(message.position)
            if not batch:
                await consumer.wait(0.2)
        except Unreachable:
            await pause()
    return seen


async def _works(carrier: Carrier, queue: IntentQueue, number: int) -> set[str]:
    """So many works, each acknowledged."""
    seen: set[str] = set()
    while len(seen) < number:
        try:
            async with queue.receive([carrier.name(topics.QUEUE_VERIFY)]) as delivery:
                if delivery is not None:
                    await delivery.acknowledge()
                    seen.add(delivery.invitation.work_request_id)
        except Unreachable:
            await pause()
    return seen
