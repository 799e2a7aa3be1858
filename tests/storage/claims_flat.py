"""`python -m tests.storage.claims_flat 20000`: what a claim and a heartbeat touch, before and after so many works.

Works come and go in the tables as the program leaves them there, each step a commit, while others wait. Then real
claims and heartbeats are counted in blocks by the server's own statistics. A claim that gets dearer with what has
happened before, or with what waits, would show; so would a heartbeat that is not HOT, since it writes every index.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from ameide.config import DATABASE_ROLES
from ameide.contracts import topics
from ameide.engine.engine import Engine
from ameide.storage.db import Database
from ameide.storage.migrate import ensure_roles, migrate
from ameide_core_proto.transformation.work.v1 import command_service_pb as pb
from tests.conftest import SpineDatabase
from tests.domain_work.world import HEAD, Claimed, World, caller, key, verify

EXECUTOR = caller("verifier", "executor", queues=(topics.QUEUE_VERIFY,))
SAMPLE = 10
_TABLES = ("queue_item", "attempt", "work")
_ROUNDS = 200
# A work is requested, the oldest one is claimed, kept alive four times and ended: each step a transaction of its own.
_COME_AND_GO = """
DO $$
DECLARE
    id text;
BEGIN
    FOR n IN {first}..{last} LOOP
        id := 'old-' || n;
        INSERT INTO ameide.work (tenant_id, work_request_id, queue, status, announce_at, version, state)
            VALUES ('default', id, {queue}, 'requested', now() + '1 day', 1, convert_to(repeat('s', 900), 'UTF8'));
        INSERT INTO ameide.queue_item (queue, tenant_id, work_request_id, dispatch, position)
            VALUES ({queue}, 'default', id, 1, n - {last} - 1);
        COMMIT;
        IF n > {waiting} THEN
            id := 'old-' || n - {waiting};
            DELETE FROM ameide.queue_item WHERE tenant_id = 'default' AND work_request_id = id;
            UPDATE ameide.work SET status = 'started', attempt = 1, announce_at = NULL, version = 2
                WHERE tenant_id = 'default' AND work_request_id = id;
            INSERT INTO ameide.attempt (tenant_id, work_request_id, attempt, claim_id, principal_id, claimed_at,
                lease_until, run_until, last_heartbeat_at)
                VALUES ('default', id, 1, 'c', 'verifier', now(), now(), now(), now());
            COMMIT;
            FOR beat IN 1..4 LOOP
                UPDATE ameide.attempt SET lease_until = clock_timestamp(), last_heartbeat_at = clock_timestamp(),
                    heartbeats = beat, log_tail = repeat('the last line of a log ', 8)
                    WHERE tenant_id = 'default' AND work_request_id = id AND attempt = 1;
                COMMIT;
            END LOOP;
            UPDATE ameide.work SET status = 'succeeded', version = 3
                WHERE tenant_id = 'default' AND work_request_id = id;
            UPDATE ameide.attempt SET ended_at = now() WHERE tenant_id = 'default' AND work_request_id = id;
            COMMIT;
        END IF;
    END LOOP;
END
$$
"""


@dataclass(frozen=True)
class Touched:
    """Blocks of queue, leases and works, their indexes included, that one claim or heartbeat touches."""

    claim: float
    heartbeat: float


@dataclass(frozen=True)
class Found:
    """Before and after; of the updates of leases by heartbeats, the share that was HOT."""

    before: Touched
    after: Touched
    hot: float


async def measure(database: SpineDatabase, count: int, waiting: int, say: Callable[[str], None]) -> Found:
    """So many works come and go while `waiting` others wait."""
    async with AsyncExitStack() as stack:

        async def role(name: str) -> Database:
            db = Database(database.dsn(name), max_size=1)
            await db.open()
            stack.push_async_callback(db.close)
            return db

        world = World(database, await role("ameide_app"), await role("ameide_relay"), await role("ameide_sweeper"))
        run = await world.open_run()
        for _ in range(2 * SAMPLE + 4):
            await world.requested(verify(run, HEAD))
        await world.relayed()
        before = await _touched(world)
        say(f"before: {before}")
        began = time.monotonic()
        with psycopg.connect(database.address.conninfo, autocommit=True) as admin:
            admin.execute("SET synchronous_commit = off")
            admin.execute(
                sql.SQL(_COME_AND_GO).format(  # pyright: ignore[reportArgumentType]
                    first=sql.Literal(1),
                    last=sql.Literal(count + waiting),
                    waiting=sql.Literal(waiting),
                    queue=sql.Literal(topics.QUEUE_PUBLISH),
                )
            )
            # Those that wait stand in the same queue, behind the works that are claimed below.
            admin.execute(
                "UPDATE ameide.queue_item SET queue = %s, position = position + 1000000000 WHERE position <= 0",
                (topics.QUEUE_VERIFY,),
            )
            _clean(admin)
        say(f"{count:,} works came and went in {time.monotonic() - began:.0f} s, {waiting:,} wait")
        after = await _touched(world)
        [row] = world.sql(
            "SELECT n_tup_hot_upd::float8 / (n_tup_upd - ended) AS hot FROM pg_stat_user_tables,"
            " (SELECT count(*) AS ended FROM ameide.attempt WHERE ended_at IS NOT NULL) AS e"
            " WHERE relid = 'ameide.attempt'::regclass"
        )
        found = Found(before, after, float(str(row["hot"])))
        say(f"after: {after}; {found.hot:.1%} of the heartbeats were HOT")
        return found


def _clean(admin: psycopg.Connection) -> None:
    """What autovacuum does, without the wait for its turn; again while somebody's snapshot keeps dead rows."""
    kept: list[tuple[str, int]] = []
    for _ in range(_ROUNDS):
        for table in _TABLES:
            admin.execute(sql.SQL("VACUUM (ANALYZE) ameide.{}").format(sql.Identifier(table)))
        kept = admin.execute(
            "SELECT relname, n_dead_tup FROM pg_stat_user_tables"
            " WHERE schemaname = 'ameide' AND relname = ANY(%s) AND n_dead_tup > 0",
            (list(_TABLES),),
        ).fetchall()
        if not kept:
            # What this session has touched is counted now, and not in the middle of what is measured next.
            admin.execute("SELECT pg_stat_force_next_flush()")
            return
    raise AssertionError(f"dead rows are kept by a snapshot that does not end: {kept}")


async def _touched(world: World) -> Touched:
    # The first ones fill the caches of the session.
    await _claimed(world)
    start = await _blocks(world)
    claims = [await _claimed(world) for _ in range(SAMPLE)]
    middle = await _blocks(world)
    for claim in claims:
        await world.heartbeat(claim)
    end = await _blocks(world)
    return Touched((middle - start) / SAMPLE, (end - middle) / SAMPLE)


async def _claimed(world: World) -> Claimed:
    claim_id = key()
    request = pb.PollWorkRequest(queues=[topics.QUEUE_VERIFY], claim_id=claim_id, wait_seconds=5)
    answer = await world.gateway.poll(EXECUTOR, request)
    assert answer.work is not None
    return Claimed(answer.work, answer.attempt, claim_id, EXECUTOR)


async def _blocks(world: World) -> int:
    """Blocks that were touched so far, once the session of the Domain has told the server its counts."""
    async with world.app.transaction("default") as tx:
        await tx.execute("SELECT pg_stat_force_next_flush()")
    async with world.app.transaction("default") as tx:
        row = await tx.fetch_one(
            "SELECT sum(heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit)::bigint AS blocks"
            " FROM pg_statio_user_tables WHERE schemaname = 'ameide' AND relname = ANY(%s)",
            (list(_TABLES),),
        )
    assert row is not None
    return int(row["blocks"])


def main(count: int) -> int:
    """On a PostgreSQL of its own, with the settings of the product."""
    folder = Path(tempfile.mkdtemp(prefix="ameide-"))
    folder.chmod(0o711)
    engine = Engine(folder, folder, say=print)
    try:
        database = SpineDatabase(engine.start_postgres())
        passwords = {role: str(conninfo_to_dict(database.dsn(role))["password"]) for role in DATABASE_ROLES}
        asyncio.run(ensure_roles(database.address.conninfo, passwords))
        asyncio.run(migrate(database.address.conninfo))
        found = asyncio.run(measure(database, count, count // 10, print))
    finally:
        engine.stop()
        engine.purge()
        shutil.rmtree(folder)
    return 0 if found.after.claim < 2 * found.before.claim and found.hot > 0.9 else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))
