"""The log in partitions: made ahead by the relay, crossed without a failure, and taken over from an older schema."""

import asyncio

import psycopg
import pytest

from ameide.engine.postgres import PostgresAddress
from ameide.events.outbox import append
from ameide.events.relay import Relay
from ameide.events.wakeups import Wakeups
from ameide.storage import migrate as migrations
from ameide.storage.db import Database
from ameide.storage.migrate import migrate
from tests.conftest import SpineDatabase
from tests.events.conftest import Pools
from tests.log.world import TENANT, message, opened, partitions, rows

OLD_ROWS = """
INSERT INTO ameide.log SELECT n, 'acme', 'transformation.work.domain.facts.v1', 'fact', 'acme:w' || n % 5, 'm' || n,
    'WorkRequested', 'work', 'w' || n % 5, n, '', '', '', '', now(), '' FROM generate_series(1, 1000) AS n
"""


async def _say(db: Database, count: int, first: int = 1) -> None:
    async with db.transaction(TENANT) as tx:
        for number in range(first, first + count):
            append(tx, [message(f"w{number}", 1, intent=number % 3 == 0)])


async def test_batches_cross_the_edges_of_partitions(pools: Pools, database: SpineDatabase):
    app, relay_db = await pools.role("ameide_app"), await pools.role("ameide_relay")
    relays = [Relay(relay_db, Wakeups(), batch=7, partition=10) for _ in range(2)]
    writing = asyncio.gather(*(_say(app, 25, first=100 * writer) for writer in range(4)))
    while not writing.done() or rows(database, "SELECT 1 FROM ameide.outbox LIMIT 1"):
        await asyncio.gather(*(relay.move() for relay in relays))
    await writing
    assert [row["position"] for row in rows(database, "SELECT position FROM ameide.log ORDER BY 1")] == [*range(1, 101)]
    edges = partitions(database)
    assert edges == [(first, first + 10) for first in range(1, edges[-1][1], 10)]
    # The next batch has its place already.
    assert edges[-1][1] > 100


async def test_a_batch_may_be_larger_than_a_partition(pools: Pools, database: SpineDatabase):
    app, relay_db = await pools.role("ameide_app"), await pools.role("ameide_relay")
    await _say(app, 50)
    assert await Relay(relay_db, Wakeups(), batch=500, partition=8).move() == 50
    assert len(rows(database, "SELECT 1 FROM ameide.log")) == 50


async def test_a_move_that_fails_at_an_edge_leaves_the_next_one_free(pools: Pools, database: SpineDatabase):
    app, relay_db = await pools.role("ameide_app"), await pools.role("ameide_relay")
    relay = Relay(relay_db, Wakeups(), batch=4, partition=5)
    await _say(app, 12)
    assert await relay.move() == 4
    rows(database, "ALTER TABLE ameide.log_head ADD CONSTRAINT held CHECK (position < 5)")
    before = partitions(database)
    for _ in range(2):
        with pytest.raises(psycopg.errors.CheckViolation, match="held"):
            await relay.move()
    assert partitions(database) == before
    rows(database, "ALTER TABLE ameide.log_head DROP CONSTRAINT held")
    while await relay.move():
        pass
    assert [row["position"] for row in rows(database, "SELECT position FROM ameide.log ORDER BY 1")] == [*range(1, 13)]


async def test_readers_go_on_while_a_partition_is_made(pools: Pools, database: SpineDatabase):
    app, relay_db = await pools.role("ameide_app"), await pools.role("ameide_relay")
    await _say(app, 3)
    await Relay(relay_db, Wakeups(), partition=1000).move()
    async with relay_db.transaction(None) as making:
        await making.execute("SELECT ameide.extend_log(5000, 1000)")
        async with app.transaction(TENANT) as reading:
            await reading.execute("SET LOCAL lock_timeout = '5s'")
            seen = await reading.fetch_all("SELECT position FROM ameide.log ORDER BY position")
    assert [row["position"] for row in seen] == [1, 2, 3]


async def test_an_older_log_becomes_the_first_partition(
    empty_database: PostgresAddress, database: SpineDatabase, monkeypatch: pytest.MonkeyPatch
):
    spine = SpineDatabase(empty_database)
    with monkeypatch.context() as patched:
        first = migrations.migrations()[:1]
        patched.setattr(migrations, "migrations", lambda: first)
        assert await migrate(empty_database.conninfo) == ["0001_spine"]
    rows(spine, OLD_ROWS)
    rows(spine, "UPDATE ameide.log_head SET position = 1000")
    before = rows(spine, "SELECT * FROM ameide.log ORDER BY position")
    [stored] = rows(spine, "SELECT relfilenode FROM pg_class WHERE oid = 'ameide.log'::regclass")
    [index] = rows(spine, "SELECT relfilenode FROM pg_class WHERE oid = 'ameide.log_pkey'::regclass")

    assert "0002_log_partitions" in await migrate(empty_database.conninfo)
    assert rows(spine, "SELECT * FROM ameide.log ORDER BY position") == before
    # Neither the rows nor their index were written again.
    assert rows(spine, "SELECT relfilenode FROM pg_class WHERE oid = 'ameide.log_first'::regclass") == [stored]
    assert rows(spine, "SELECT relfilenode FROM pg_class WHERE oid = 'ameide.log_first_pkey'::regclass") == [index]
    assert partitions(spine) == [(1, 1001)]

    def columns(which: SpineDatabase) -> list[dict[str, object]]:
        return rows(
            which,
            "SELECT a.attname, a.atttypid::regtype::text AS type, a.attnotnull FROM pg_attribute a"
            " WHERE a.attrelid = 'ameide.log'::regclass AND a.attnum > 0 ORDER BY a.attname",
        )

    # A new installation and an upgraded one have the same log.
    assert columns(spine) == columns(database)
    async with opened(spine.dsn("ameide_app")) as app, opened(spine.dsn("ameide_relay")) as relay_db:
        await _say(app, 5)
        assert await Relay(relay_db, Wakeups(), partition=100).move() == 5
        async with app.transaction(TENANT) as tx:
            assert await tx.fetch_one("SELECT count(*) AS n FROM ameide.log") == {"n": 1005}
        async with app.transaction("other") as tx:
            assert await tx.fetch_one("SELECT count(*) AS n FROM ameide.log") == {"n": 0}
    assert partitions(spine)[:2] == [(1, 1001), (1001, 1101)]
