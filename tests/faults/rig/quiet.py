"""Whether anything is still under way, as the database tells it."""

from __future__ import annotations

import asyncio
from typing import LiteralString

import psycopg

from tests.faults.rig.patience import pause

_UNDER_WAY: dict[str, LiteralString] = {
    "facts not relayed": "SELECT count(*) FROM ameide.outbox",
    "facts not consumed": "SELECT count(*) FROM ameide.cursor c, ameide.log_head h"
    " WHERE c.name IN ('ingress', 'projector', 'forwarder') AND c.position < h.position",
    "runs open": "SELECT count(*) FROM ameide.aggregate WHERE kind = 'run' AND status = 'OPEN'",
    "works open": "SELECT count(*) FROM ameide.work WHERE status IN ('requested', 'started')",
    "claims held": "SELECT count(*) FROM ameide.attempt WHERE ended_at IS NULL",
    "messages parked": "SELECT count(*) FROM ameide.parked",
}


async def until_quiet(dsn: str, within: float) -> str:
    """Wait until nothing is under way; empty, or what still was after `within` seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while left := await under_way(dsn):
        if loop.time() > deadline:
            return left
        await pause()
    return ""


async def under_way(dsn: str) -> str:
    """What is, in words; empty when nothing is."""
    try:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            # One statement is one snapshot: what moves on between two looks could be seen by neither.
            columns = ", ".join(f"({query})" for query in _UNDER_WAY.values())
            cursor = await connection.execute(f"SELECT {columns}".encode())
            counts = await cursor.fetchone()
    except psycopg.OperationalError as error:
        return f"the database does not answer ({type(error).__name__})"
    assert counts is not None
    return ", ".join(f"{count} {name}" for name, count in zip(_UNDER_WAY, counts, strict=True) if count)
