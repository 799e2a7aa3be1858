"""Waits until everything has come to rest: what is at rest can be judged."""

from __future__ import annotations

import asyncio
import time

from temporalio.client import Client

from tests.faults.oracle.database import Snapshot, snapshot
from tests.faults.oracle.histories import at_rest

PATIENCE_SECONDS = 60.0
PAUSE_SECONDS = 0.2
AT_ONCE = 16
_SHOWN = 10


async def settle(dsn: str, client: Client | None, patience: float = PATIENCE_SECONDS) -> list[str]:
    """What had not come to rest when `patience` seconds were over; empty as soon as all has."""
    deadline = time.monotonic() + patience
    while True:
        async with snapshot(dsn) as base:
            before = await _head(base)
            unquiet = await unrest(base)
            # Runs are many, and not worth a look while their facts are still on the way.
            if client is not None and (not unquiet or time.monotonic() > deadline):
                unquiet += await _runs(base, client)
        async with snapshot(dsn) as base:
            moved = await _head(base) != before
        if not unquiet and not moved:
            return []
        if time.monotonic() > deadline:
            return unquiet or ["facts are still stated"]
        await asyncio.sleep(PAUSE_SECONDS)


async def _head(base: Snapshot) -> tuple[int, int]:
    query = "SELECT (SELECT position FROM ameide.log_head) AS head, (SELECT count(*) FROM ameide.outbox) AS waiting"
    row = await base.row(query)
    return row["head"], row["waiting"]


async def unrest(base: Snapshot) -> list[str]:
    """What the database shows to be under way."""
    found: list[str] = []
    head, waiting = await _head(base)
    if waiting:
        found.append(f"{waiting} messages wait in the outbox")
    for row in await base.rows("SELECT name, position FROM ameide.cursor WHERE name <> 'sweeper'"):
        if row["position"] != head:
            found.append(f"{row['name']} has read up to {row['position']}, the head is {head}")
    open_works = "SELECT work_request_id, status FROM ameide.work WHERE status IN ('requested', 'started') ORDER BY 1"
    rows = await base.rows(open_works)
    found += [f"work {row['work_request_id']} is {row['status']}" for row in rows[:_SHOWN]]
    if len(rows) > _SHOWN:
        found.append(f"{len(rows) - _SHOWN} more works have not ended")
    return found


async def _runs(base: Snapshot, client: Client) -> list[str]:
    places = asyncio.Semaphore(AT_ONCE)

    async def look(run: str, is_open: bool) -> str:
        async with places:
            rests = await at_rest(client, run, is_open=is_open)
        return "" if rests else f"run {run} is still under way"

    rows = await base.rows("SELECT id, status = 'OPEN' AS is_open FROM ameide.aggregate WHERE kind = 'run' ORDER BY id")
    found = await asyncio.gather(*[look(row["id"], row["is_open"]) for row in rows])
    return [line for line in found if line][:_SHOWN]
