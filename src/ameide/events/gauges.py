"""What only the database knows of outbox, queues and consumers, read when an operator asks.

Each is read by the role whose loop owns it: the relay sees outbox and queues, a consumer its cursor and its parked
messages, of all tenants. Only ages and numbers leave.
"""

from __future__ import annotations

from collections.abc import Collection

from ameide.contracts import topics
from ameide.events.ports import GroupProgress
from ameide.storage.db import Database
from ameide.storage.sql import load
from ameide.telemetry.metrics import Readings

_SQL = load("events")


async def of_relay(db: Database, elsewhere: Collection[str] = ()) -> Readings:
    """Age of the outbox and the length of every queue but those `elsewhere`; `db` is of the role ameide_relay.

    Raises Unreachable.
    """
    async with db.transaction(None) as tx:
        await tx.execute(_SQL["briefly"])
        age = await tx.fetch_one(_SQL["outbox_age"])
        rows = await tx.fetch_all(_SQL["ready"])
    waiting: dict[str, float] = {queue: 0.0 for queue in topics.QUEUES if queue not in elsewhere}
    waiting |= {row["queue"]: float(row["waiting"]) for row in rows if row["queue"] in waiting}
    return {"outbox_oldest_age_seconds": {"": age["seconds"] if age else 0.0}, "queue_ready": waiting}


async def of_consumer(db: Database, consumer: str) -> Readings:
    """Lag and parked messages of a consumer; `db` is of its role. Raises Unreachable."""
    async with db.transaction(None) as tx:
        await tx.execute(_SQL["briefly"])
        row = await tx.fetch_one(_SQL["consumer_lag"], {"consumer": consumer})
    if row is None:
        return {}
    return {"consumer_lag_seconds": {consumer: row["seconds"]}, "parked_messages": {consumer: float(row["parked"])}}


async def of_group(progress: GroupProgress, group: str, queue: str = "") -> Readings:
    """How many messages of Kafka a group has before it; of the group of a queue these are the invitations that wait.

    Raises Unreachable.
    """
    lag = float(await progress.lag())
    return {"kafka_group_lag": {group: lag}} | ({"queue_ready": {queue: lag}} if queue else {})
