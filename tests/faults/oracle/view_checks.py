"""Projections equal a rebuild from nothing: the whole log, projected once, in order, into empty tables.

The only place that runs code of what is judged: what a message becomes is the program's business, that each became it
exactly once is the oracle's.
"""

from __future__ import annotations

from ameide.events.messages import LoggedMessage
from ameide.storage.sql import load
from ameide.views.projection import Rows, project
from tests.faults.oracle.database import Snapshot
from tests.faults.oracle.verdict import Verdict

BATCH = 500
TABLES = ("view_fact", "view_state", "view_process")
_LOG = "SELECT * FROM ameide.log ORDER BY position"
_SHOWN = 20


async def check_views(base: Snapshot, verdict: Verdict) -> None:
    """Row by row and byte by byte, every table of the read model."""
    for table in TABLES:
        await base.run(f"CREATE TEMPORARY TABLE {table} (LIKE ameide.{table} INCLUDING ALL)")
    await _rebuild(base)
    for table in TABLES:
        await _compare(base, table, verdict)


async def _rebuild(base: Snapshot) -> None:
    rows, waiting = Rows(), 0
    async for row in base.stream(_LOG):
        # Each message by itself: what the program folds together in a batch must come to the same.
        rows.extend((project(LoggedMessage.of(row)) or Rows()).folded())
        waiting += 1
        if waiting == BATCH:
            await _write(base, rows)
            rows, waiting = Rows(), 0
    await _write(base, rows)


async def _write(base: Snapshot, rows: Rows) -> None:
    statements = load("views")
    for name, values in (("put_fact", rows.facts), ("put_state", rows.states), ("put_process", rows.processes)):
        await base.write(statements[name].replace("ameide.view_", "pg_temp.view_"), values)


async def _compare(base: Snapshot, table: str, verdict: Verdict) -> None:
    key = await _key(base, table)
    live, fresh = await _digests(base, f"ameide.{table}", key), await _digests(base, f"pg_temp.{table}", key)
    findings: list[str] = []
    for row in sorted(live.keys() | fresh.keys()):
        if row not in live:
            findings.append(f"{table} has no row {row}, a rebuild has")
        elif row not in fresh:
            findings.append(f"{table} has a row {row}, a rebuild has not")
        elif live[row] != fresh[row]:
            findings.append(f"{table} has another row {row} than a rebuild")
    verdict.lost += findings[:_SHOWN]
    if len(findings) > _SHOWN:
        verdict.lost.append(f"{table} differs from a rebuild in {len(findings) - _SHOWN} more rows")


async def _key(base: Snapshot, table: str) -> list[str]:
    columns = """
        SELECT a.attname AS name FROM pg_index i
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
        WHERE i.indisprimary AND i.indrelid = %s::regclass ORDER BY array_position(i.indkey::int[], a.attnum::int)"""
    return [row["name"] for row in await base.rows(columns, f"ameide.{table}")]


async def _digests(base: Snapshot, table: str, key: list[str]) -> dict[str, str]:
    place = " || ' ' || ".join(f't."{column}"::text' for column in key)
    query = f"SELECT {place} AS place, md5(t::text) AS digest FROM {table} AS t"
    return {row["place"]: row["digest"] async for row in base.stream(query)}
