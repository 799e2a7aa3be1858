"""Commands that really meet: each waits for the same lock, and they get it in the order in which they were said."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Generator, Sequence
from typing import TypeVar

import psycopg

from ameide.errors import Conflict, Refused
from tests.domain_work.world import World

T = TypeVar("T")


async def together(world: World, change_id: str, *calls: Awaitable[T]) -> list[T | BaseException]:
    """Say all of it while the change is locked, so that they really meet, queued in this order."""
    async with world.app.transaction("default") as tx:
        await tx.fetch_one("SELECT 1 FROM ameide.aggregate WHERE kind = 'change' AND id = %s FOR UPDATE", (change_id,))
        tasks: list[asyncio.Future[T]] = []
        for call in calls:
            tasks.append(asyncio.ensure_future(call))
            # The next one comes when this one waits: locks are granted in the order in which they were asked for.
            await waiting(world, len(tasks))
    return await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.contextmanager
def nobody_commits(world: World) -> Generator[None]:
    """Whoever has something to state gets no further than the outbox, with all the locks that it has taken."""
    with psycopg.connect(world.spine.address.conninfo) as holder:
        holder.execute("LOCK TABLE ameide.outbox IN SHARE MODE")
        yield
        holder.rollback()


async def waiting(world: World, number: int) -> None:
    """Until so many statements wait for a lock."""
    async with asyncio.timeout(20):
        while not world.sql(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
            "HAVING count(*) >= %s",
            number,
        ):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), 0.02)


def errors(answers: Sequence[object]) -> list[Refused | Conflict]:
    """The refusals among some answers."""
    return [answer for answer in answers if isinstance(answer, Refused | Conflict)]
