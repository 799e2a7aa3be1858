"""The read model made again from archive and log, against COPY of the resulting rows into tables of the same shape."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import psycopg
from psycopg.rows import dict_row

from ameide.domain.commands import claims
from ameide.domain.unit import Unit
from ameide.events.archive import Archiver
from ameide.events.archived import ArchivedLog
from ameide.events.relay import Relay
from ameide.events.wakeups import Wakeups
from ameide.infra.object_store import ObjectStore
from ameide.storage.db import Database
from ameide.views.projector import Projector
from ameide.views.rebuild import Rebuild
from ameide.views.shadow import TABLES
from ameide_core_proto.transformation.work.v1 import command_service_pb as pb
from benchmarks import command
from benchmarks.domain import EXECUTOR, QUEUE, Domain, domain, key, outcome, verify
from benchmarks.facts import saying_again
from benchmarks.installation import Cluster, Installation
from benchmarks.protocol import Plan, Row, alternate, compare

NAME = "rebuild"
_FACTS, _WORKS, _COPIES = 200_000, 12, 500


async def bench(cluster: Cluster, plan: Plan) -> list[Row]:
    """One row: rows of the read model a second, the older half of the facts read from the archive."""
    there = await cluster.installation(NAME)
    objects = ObjectStore((there.settings.state_dir / "archive").as_uri())
    facts = plan.count(_FACTS, 2_000)
    await _said(there, objects, facts)
    database = Database(there.dsn("projector"), max_size=4)
    await database.open()
    rows = _rows(there)

    async def ours(_: float) -> float:
        begun = time.perf_counter()
        await Rebuild(database, ArchivedLog(database, objects), lambda _done, _total: None).swap()
        return rows / (time.perf_counter() - begun)

    async def theirs(_: float) -> float:
        return rows / copying(there)

    try:
        found = await alternate({"rebuild": ours, "COPY": theirs}, plan)
    finally:
        await database.close()
    return [
        compare(
            "projection rebuild",
            f"COPY of the resulting {rows:,} rows of {facts:,} messages",
            found["rebuild"],
            found["COPY"],
            reach=0.2,
            aim=0.4,
            counters={},
        )
    ]


def copying(there: Installation) -> float:
    """Seconds that COPY of the read model's rows takes, into empty tables with the same indexes."""
    seconds = 0.0
    with psycopg.connect(there.admin.conninfo, autocommit=True) as admin:
        for table in TABLES:
            admin.execute(f"CREATE TABLE ameide.bare (LIKE ameide.{table} INCLUDING ALL)".encode())
            taken = f"COPY (SELECT * FROM ameide.{table} ORDER BY 1, 2, 3) TO STDOUT BINARY"  # noqa: S608
            with admin.cursor().copy(taken.encode()) as out:
                blocks = [bytes(block) for block in out]
            begun = time.perf_counter()
            with admin.cursor().copy(b"COPY ameide.bare FROM STDIN BINARY") as into:
                for block in blocks:
                    into.write(block)
            seconds += time.perf_counter() - begun
            admin.execute("DROP TABLE ameide.bare")
    return seconds


def _rows(there: Installation) -> int:
    with psycopg.connect(there.admin.conninfo) as admin:
        counts = [admin.execute(f"SELECT count(*) FROM ameide.{table}".encode()).fetchone() for table in TABLES]  # noqa: S608
    return sum(int(count[0]) for count in counts if count)


async def _said(there: Installation, objects: ObjectStore, facts: int) -> None:
    """A run with some finished works, said again until there are so many facts; projected, the older half archived."""
    async with AsyncExitStack() as stack:
        inside = await stack.enter_async_context(domain(there, size=2))
        keeper, projecting = Database(there.dsn("relay"), max_size=2), Database(there.dsn("projector"), max_size=2)
        for database in (keeper, projecting):
            await database.open()
            stack.push_async_callback(database.close)
        relay = Relay(keeper, Wakeups(), batch=5_000, partition=max(1, facts // 4))
        await inside.register()
        run = await inside.run()
        for _ in range(_WORKS):
            await inside.request(verify(run.process_instance_id))
        await _drain(relay.move)
        for _ in range(_WORKS):
            await _finish_one(inside)
        await _drain(relay.move)
        _say_again(there, facts)
        await _drain(relay.move)
        await _drain(Projector(projecting, Wakeups(), batch=5_000).step)
        with psycopg.connect(there.admin.conninfo, autocommit=True) as admin:
            head = "(SELECT position FROM ameide.log_head)"
            admin.execute(f"UPDATE ameide.cursor SET position = {head} WHERE name = 'ingress'".encode())  # noqa: S608
            admin.execute("VACUUM (ANALYZE)")
        async for _ in Archiver(keeper, objects).run(keep=facts // 2 - 1):
            pass


def _say_again(there: Installation, facts: int) -> None:
    with psycopg.connect(there.admin.conninfo, autocommit=True) as admin:
        cursor = admin.cursor(row_factory=dict_row)
        told = cursor.execute("SELECT * FROM ameide.log WHERE correlation_id <> '' ORDER BY position").fetchall()
        copies = -(-facts // len(told))
        for first in range(1, copies + 1, _COPIES):
            admin.execute(saying_again(told, first, min(first + _COPIES - 1, copies)))


async def _finish_one(inside: Domain) -> None:
    claim_id = key()
    answer = await inside.gateway.poll(EXECUTOR, pb.PollWorkRequest(queues=[QUEUE], claim_id=claim_id, wait_seconds=5))
    assert answer.work is not None
    command = outcome(answer.work, answer.attempt, claim_id)

    async def handler(unit: Unit) -> pb.RecordWorkOutcomeResponse:
        return await claims.record_work_outcome(unit, command)

    await inside.service.perform(EXECUTOR, "RecordWorkOutcome", None, handler)


async def _drain(step: Callable[[], Awaitable[int]]) -> None:
    while await step():
        pass


if __name__ == "__main__":
    command.main(NAME)
