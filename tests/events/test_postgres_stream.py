"""The PostgreSQL stream loses its connection in the middle of a batch, and goes on."""

import pytest

from ameide.errors import Refused, Unreachable
from ameide.events.backends.postgres import PostgresFactStream
from ameide.events.consumer import Consumer
from ameide.events.outbox import append
from ameide.events.relay import Relay
from ameide.events.wakeups import Wakeups
from ameide.storage.db import Database
from tests.conformance.carriers import NAME, TENANT, fact
from tests.events.conftest import Pools


async def _published(pools: Pools, count: int) -> None:
    app = await pools.role("ameide_app")
    async with app.transaction(TENANT) as tx:
        append(tx, [fact("a", version) for version in range(1, count + 1)])
    await Relay(await pools.role("ameide_relay"), Wakeups()).move()


async def _end_holder(admin: Database) -> None:
    async with admin.transaction(None) as tx:
        ended = await tx.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ameide_ingress' "
            "AND state = 'idle in transaction' AND datname = current_database()"
        )
        assert ended == 1


async def test_a_connection_lost_in_a_batch_delivers_the_batch_again(pools: Pools):
    await _published(pools, 3)
    ingress, admin = await pools.role("ameide_ingress"), await pools.admin()
    consumer = Consumer(PostgresFactStream(ingress, NAME, Wakeups()), ingress, NAME)
    first, second, last = await consumer.next_batch()
    await _end_holder(admin)
    for message in (first, second):
        await consumer.acknowledge(message.position)
    with pytest.raises(Unreachable):
        await consumer.acknowledge(last.position)
    with pytest.raises(Refused, match="not active"):
        await consumer.acknowledge(last.position)
    again = await consumer.next_batch()
    assert [message.aggregate_version for message in again] == [1, 2, 3]
    for message in again:
        await consumer.acknowledge(message.position)
    assert await consumer.next_batch() == []


async def test_a_connection_lost_while_acting_is_told_by_the_next_batch(pools: Pools):
    await _published(pools, 2)
    ingress, admin = await pools.role("ameide_ingress"), await pools.admin()
    consumer = Consumer(PostgresFactStream(ingress, NAME, Wakeups()), ingress, NAME)
    await consumer.next_batch()
    await _end_holder(admin)
    with pytest.raises(Unreachable):
        await consumer.next_batch()
    assert len(await consumer.next_batch()) == 2


async def test_a_waiting_consumer_is_woken_by_the_relay(pools: Pools):
    ingress, wakeups = await pools.role("ameide_ingress"), Wakeups()
    consumer = Consumer(PostgresFactStream(ingress, NAME, wakeups), ingress, NAME)
    assert await consumer.next_batch() == []
    app = await pools.role("ameide_app")
    async with app.transaction(TENANT) as tx:
        append(tx, [fact("a", 1)])
    # Rung between the empty batch and the wait: not lost.
    await Relay(await pools.role("ameide_relay"), wakeups).move()
    await consumer.wait(60)
    async with consumer:
        [message] = await consumer.next_batch()
    assert message.aggregate_id == "a"
