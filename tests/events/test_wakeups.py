"""Bells ring across processes, and again after the connection was lost."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from ameide.events.wakeups import Wakeups
from ameide.storage.db import Database
from tests.conftest import SpineDatabase
from tests.events.conftest import Pools


@asynccontextmanager
async def _connected(dsn: str) -> AsyncGenerator[Wakeups]:
    wakeups = Wakeups()
    with wakeups.bell("view") as bell:
        task = asyncio.create_task(wakeups.connect(dsn))
        # Everything rings once the lines are up.
        assert await bell.wait(20)
    yield wakeups
    task.cancel()
    await asyncio.wait([task])


async def test_a_ring_between_two_waits_is_not_lost():
    wakeups = Wakeups()
    with wakeups.bell("log", "outbox") as bell:
        wakeups.ring("outbox")
        assert await bell.wait(20)
        assert not await bell.wait(0.01)
        wakeups.ring("queue")
        assert not await bell.wait(0.01)


async def test_a_ring_reaches_the_other_process(database: SpineDatabase):
    dsn = database.dsn("ameide_app")
    async with _connected(dsn) as one, _connected(dsn) as other:
        with one.bell("queue") as at_one, other.bell("queue") as at_other:
            for _ in range(50):
                one.ring("queue")
            assert await at_one.wait(20)
            assert await at_other.wait(20)


async def _end_listeners(admin: Database) -> int:
    async with admin.transaction(None) as tx:
        return await tx.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND (query LIKE 'LISTEN%%' OR query LIKE 'SELECT pg_notify%%')"
        )


async def test_a_lost_line_is_taken_up_again_and_everything_rings(database: SpineDatabase, pools: Pools):
    admin = await pools.admin()
    dsn = database.dsn("ameide_app")
    async with _connected(dsn) as one, _connected(dsn) as other:
        with other.bell("log") as bell:
            assert await _end_listeners(admin) >= 2
            # Whatever was missed while the line was down is looked for.
            assert await bell.wait(20)
        with other.bell("queue") as bell:
            rung = False
            for _ in range(100):
                one.ring("queue")
                rung = rung or await bell.wait(0.2)
            assert rung
