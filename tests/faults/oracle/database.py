"""The database as its superuser sees it: every row of every tenant, in one snapshot."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg.rows import dict_row

Row = dict[str, Any]


class Snapshot:
    """Reads the rows of one moment."""

    def __init__(self, connection: psycopg.AsyncConnection[Row]) -> None:
        self._connection = connection

    async def rows(self, query: str, *parameters: object) -> list[Row]:
        """All rows of a query."""
        return await (await self._connection.execute(query.encode(), parameters or None)).fetchall()

    async def row(self, query: str, *parameters: object) -> Row:
        """The only row of a query."""
        [row] = await self.rows(query, *parameters)
        return row

    async def write(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        """Fill a temporary table; the snapshot is rolled back in the end."""
        async with self._connection.cursor() as cursor:
            await cursor.executemany(statement.encode(), rows)

    async def run(self, statement: str) -> None:
        """A statement without rows."""
        await self._connection.execute(statement.encode())

    async def stream(self, query: str) -> AsyncIterator[Row]:
        """The rows of a query one by one, however many there are."""
        async with self._connection.cursor(name="stream") as cursor:
            cursor.itersize = 2000
            await cursor.execute(query.encode())
            async for row in cursor:
                yield row


@asynccontextmanager
async def snapshot(dsn: str) -> AsyncGenerator[Snapshot]:
    """A snapshot of the database."""
    async with await psycopg.AsyncConnection[Row].connect(dsn, row_factory=dict_row) as connection:
        await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        yield Snapshot(connection)
        await connection.rollback()
