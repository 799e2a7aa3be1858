"""Takes an invitation, says so, and waits to be killed: `python -m tests.events.kafka_killed BROKERS QUEUE SECONDS`."""

import asyncio
import sys

from ameide.events.backends.kafka.connection import KafkaConnection
from ameide.events.backends.kafka.intents import KafkaIntentQueue


async def _hold(brokers: str, name: str, session: float) -> None:
    queue = KafkaIntentQueue(KafkaConnection(brokers), session)
    while True:
        async with queue.receive([name]) as delivery:
            if delivery is not None:
                print(delivery.invitation.work_request_id, flush=True)
                await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_hold(sys.argv[1], sys.argv[2], float(sys.argv[3])))
