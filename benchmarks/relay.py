"""The relay, outbox to log, against one `INSERT … SELECT` of the same rows on the server."""

from __future__ import annotations

import time

import psycopg

from ameide.events.relay import Relay
from ameide.events.wakeups import Wakeups
from ameide.storage.db import Database
from benchmarks import command
from benchmarks.counters import counting
from benchmarks.domain import domain, verify
from benchmarks.installation import Cluster, Installation
from benchmarks.protocol import Plan, Row, alternate, compare

NAME = "relay"
_ROWS = 20_000
_REQUESTS = 50


async def bench(cluster: Cluster, plan: Plan) -> list[Row]:
    """One row: rows a second, moved in the relay's own batches, until the outbox is empty."""
    there = await cluster.installation(NAME)
    rows = plan.count(_ROWS, 1000)
    await _template(there)
    database = Database(there.dsn("relay"), max_size=1)
    await database.open()
    relay = Relay(database, Wakeups())

    async def ours(seconds: float) -> float:
        moved, busy = 0, 0.0
        while busy < seconds:
            _fill(there, rows)
            begun = time.perf_counter()
            while size := await relay.move():
                moved += size
            busy += time.perf_counter() - begun
        return moved / busy

    async def theirs(seconds: float) -> float:
        moved, busy = 0, 0.0
        with psycopg.connect(there.admin.conninfo, autocommit=True) as admin:
            while busy < seconds:
                _fill(there, rows)
                begun = time.perf_counter()
                moved += admin.execute(_INSERT_SELECT).rowcount
                busy += time.perf_counter() - begun
                admin.execute("TRUNCATE ameide.outbox")
                admin.execute("UPDATE ameide.log_head SET position = (SELECT max(position) FROM ameide.log)")
        return moved / busy

    try:
        await ours(0.1)
        _fill(there, rows)
        with counting(there.admin) as count:
            while await relay.move():
                pass
        found = await alternate({"relay": ours, "INSERT SELECT": theirs}, plan)
    finally:
        await database.close()
    return [
        compare(
            "relay, outbox to log",
            "INSERT … SELECT of the same rows on the server",
            found["relay"],
            found["INSERT SELECT"],
            reach=0.5,
            aim=0.8,
            counters=count.per(rows),
        )
    ]


_COLUMNS = (
    "tenant_id, topic, kind, key, message_id, name, aggregate_type, aggregate_id, aggregate_version, "
    "process_instance_id, correlation_id, causation_id, work_request_id, occurred_at, payload"
)
_INSERT_SELECT = (
    "INSERT INTO ameide.log SELECT (SELECT coalesce(max(position), 0) FROM ameide.log) "  # noqa: S608
    f"+ row_number() OVER (ORDER BY id), {_COLUMNS} FROM ameide.outbox"
)


async def _template(there: Installation) -> None:
    """Rows as RequestWork writes them, a fact and an intent each, kept beside the outbox to be copied from."""
    async with domain(there, size=2) as inside:
        await inside.register()
        run = await inside.run()
        for _ in range(_REQUESTS):
            await inside.request(verify(run.process_instance_id))
    with psycopg.connect(there.admin.conninfo, autocommit=True) as admin:
        admin.execute("CREATE TABLE public.template AS SELECT * FROM ameide.outbox WHERE aggregate_type = 'work'")
        admin.execute("TRUNCATE ameide.outbox")


def _fill(there: Installation, rows: int) -> None:
    with psycopg.connect(there.admin.conninfo, autocommit=True) as admin:
        admin.execute(
            f"INSERT INTO ameide.outbox ({_COLUMNS}) SELECT {_COLUMNS} FROM public.template, "  # noqa: S608
            "generate_series(1, %s) AS again ORDER BY again, id",
            (rows // (2 * _REQUESTS),),
        )
        admin.execute("TRUNCATE ameide.log, ameide.queue_item")
        admin.execute("VACUUM (ANALYZE) ameide.outbox")


if __name__ == "__main__":
    command.main(NAME)
