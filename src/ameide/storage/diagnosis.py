"""What `ameide doctor` asks a database: who gets in, by which clock it goes, how far its schema is."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import datetime

import psycopg

from ameide.errors import Refused
from ameide.storage.migrate import check_guard, check_schema


@dataclass(frozen=True)
class Diagnosis:
    """Empty text where all is well. `clock` is the database's, None when nobody got in."""

    closed: Mapping[str, str]
    """Role to why it cannot connect."""
    schema: str = ""
    guard: str = ""
    clock: datetime | None = None


async def diagnose(dsns: Mapping[str, str]) -> Diagnosis:
    """Connect as each role (name to connection string); as ameide_app, if given, look at schema and tenant guard."""
    closed: dict[str, str] = {}
    clock: datetime | None = None
    for role, dsn in dsns.items():
        try:
            async with await psycopg.AsyncConnection.connect(dsn, connect_timeout=5, autocommit=True) as connection:
                row = await (await connection.execute("SELECT clock_timestamp()")).fetchone()
                clock = row[0] if row else None
        except psycopg.Error as error:
            closed[role] = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
    app = dsns.get("ameide_app")
    if app is None or "ameide_app" in closed:
        return Diagnosis(closed, clock=clock)
    return Diagnosis(closed, await _said(check_schema(app)), await _said(check_guard(app)), clock)


async def _said(check: Awaitable[None]) -> str:
    try:
        await check
    except Refused as error:
        return error.message
    return ""
