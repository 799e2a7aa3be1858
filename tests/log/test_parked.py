"""What a consumer set aside comes again in order, whatever became of its part of the log."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ameide.errors import InvalidArgument
from ameide.events.archive import Archiver
from ameide.events.archived import Archive
from ameide.events.backends.postgres import PostgresFactStream
from ameide.events.consumer import Consumer
from ameide.events.messages import LoggedMessage
from ameide.events.outbox import append
from ameide.events.parking import list_parked, redrive
from ameide.events.relay import Relay
from ameide.events.wakeups import Wakeups
from ameide.infra.object_store import ObjectStore
from ameide.storage.db import Database
from tests.conftest import SpineDatabase
from tests.events.conftest import Pools
from tests.log.world import TENANT, message, partitions, rows

BROKEN = f"{TENANT}:w1"
SIZE = 10


async def _say(app: Database, *aggregates: tuple[str, int]) -> None:
    async with app.transaction(TENANT) as tx:
        append(tx, [message(aggregate, version) for aggregate, version in aggregates])


async def _consume(consumer: Consumer, works: Callable[[LoggedMessage], bool]) -> list[tuple[str, int]]:
    """Everything that is there; gives what had its effect, in order."""
    done: list[tuple[str, int]] = []
    while batch := await consumer.next_batch(7):
        for one in batch:
            if consumer.is_parked(one.key):
                await consumer.park(one, one.key, "")
            elif works(one):
                done.append((one.aggregate_id, one.aggregate_version))
            else:
                await consumer.park(one, one.key, "cannot be processed")
            await consumer.acknowledge(one.position)
    return done


async def test_what_is_parked_outlives_its_part_of_the_log(pools: Pools, database: SpineDatabase, tmp_path: Path):
    objects = ObjectStore((tmp_path / "objects").as_uri())
    app, keeper = await pools.role("ameide_app"), await pools.role("ameide_relay")
    ingress = await pools.role("ameide_ingress")
    relay = Relay(keeper, Wakeups(), partition=SIZE)
    consumer = Consumer(PostgresFactStream(ingress, "ingress", Wakeups()), ingress, "ingress")
    await _say(app, *[(f"w{number % 3}", number // 3 + 1) for number in range(30)])
    while await relay.move():
        pass
    # The key of w1 waits in order, the others flow.
    done = await _consume(consumer, lambda one: one.key != BROKEN)
    assert done == [(f"w{number % 3}", number // 3 + 1) for number in range(30) if number % 3 != 1]
    assert [one.position for one in await list_parked(ingress)] == list(range(2, 31, 3))

    rows(database, "UPDATE ameide.cursor SET position = 30 WHERE name = 'projector'")
    archived = [step async for step in Archiver(keeper, objects).run() if isinstance(step, Archive)]
    assert [one.last for one in archived] == [10, 20, 30]
    assert partitions(database)[0][0] == 31

    await _say(app, ("w1", 11), ("w0", 11))
    while await relay.move():
        pass
    assert await redrive(ingress, "ingress", BROKEN) == 10
    assert await _consume(consumer, lambda one: True) == [*(("w1", version) for version in range(1, 12)), ("w0", 11)]
    assert await list_parked(ingress) == []
    await consumer.release()


async def test_a_consumer_that_is_none_is_named(pools: Pools):
    ingress = await pools.role("ameide_ingress")
    assert await redrive(ingress, "ingress", "acme:w9") == 0
    with pytest.raises(InvalidArgument, match="CONSUMER: there is no consumer projectr"):
        await redrive(ingress, "projectr", "acme:w9")
