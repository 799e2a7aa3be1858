"""What a consumer set aside comes again in order, whatever became of its part of the log."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from ameide.errors import InvalidArgument
from ameide.events.archive import Archiver
from ameide.events.archived import Archive
from ameide.events.backends.postgres import PostgresFactStream
from ameide.events.consumer import Consumer
from ameide.events.log import read
from ameide.events.messages import LoggedMessage
from ameide.events.outbox import append
from ameide.events.parking import Parking, list_parked, redrive
from ameide.events.relay import Relay
from ameide.events.wakeups import Wakeups
from ameide.infra.object_store import ObjectStore
from ameide.storage.db import Database
from tests.conftest import SpineDatabase
from tests.events.conftest import Pools
from tests.faults.served import until
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


async def _first_parked(pools: Pools, versions: int) -> tuple[Database, list[LoggedMessage]]:
    """The ingress' database, and the facts of one key, of which the first is set aside."""
    ingress = await pools.role("ameide_ingress")
    await _say(await pools.role("ameide_app"), *(("w1", version) for version in range(1, versions + 1)))
    await Relay(await pools.role("ameide_relay"), Wakeups()).move()
    async with ingress.transaction(None) as tx:
        facts = await read(tx, 0, versions)
        await Parking("ingress").park(tx, facts[0], BROKEN, "cannot be processed")
    return ingress, facts


async def test_who_releases_a_key_waits_for_what_is_just_set_aside_behind_it(pools: Pools):
    ingress, (_, second) = await _first_parked(pools, 2)
    admin = await pools.admin()

    async def waits() -> bool:
        async with admin.transaction(None) as tx:
            asked = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            return releasing.done() or await tx.fetch_one(asked) is not None

    # A consumer that reads from Kafka holds no cursor meanwhile.
    async with ingress.transaction(None) as tx:
        await Parking("ingress").park_behind(tx, second, BROKEN)
        releasing = asyncio.create_task(redrive(ingress, "ingress", BROKEN))
        await until(waits, "the release to wait")
    assert await releasing == 2
    assert all(one.redriven for one in await list_parked(ingress))


async def test_what_comes_to_wait_when_nothing_holds_its_key_any_more_is_released(pools: Pools):
    ingress, (first, second, third) = await _first_parked(pools, 3)
    assert await redrive(ingress, "ingress", BROKEN) == 1
    parking = Parking("ingress")
    async with ingress.transaction(None) as tx:
        await parking.park_behind(tx, second, BROKEN)
        for one in (first, second):
            await parking.unpark(tx, one.position)
        # Of another member of the group, whose batch is from before the release.
        await parking.park_behind(tx, third, BROKEN)
    async with ingress.transaction(None) as tx:
        assert [one.position for one in await parking.released(tx, 10)] == [third.position]
        assert (await parking.keys(tx)).stuck == frozenset()
