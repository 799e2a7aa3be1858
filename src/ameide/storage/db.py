"""Connections and transactions. A transaction names its tenant, and row-level security does the rest."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, LiteralString

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from ameide.errors import Unreachable
from ameide.faults import reach

# For processes that others wait for: one that is stopped in the middle of a transaction must not keep its locks.
IDLE_SECONDS = 10.0

Row = DictRow
Params = Sequence[object] | Mapping[str, object] | None


class Transaction:
    """One open transaction. Everything written through it commits together or not at all.

    `point` names its commit for `ameide.faults`; empty for one that has written nothing, which no fault can undo.
    """

    def __init__(self, connection: psycopg.AsyncConnection[DictRow], point: str = "") -> None:
        self._connection = connection
        self.point = point

    async def execute(self, sql: LiteralString, params: Params = None) -> int:
        """Run a statement; returns the number of rows it touched."""
        cursor = await self._connection.execute(sql, params)
        return cursor.rowcount

    async def execute_many(self, sql: LiteralString, rows: Sequence[Sequence[object]]) -> None:
        """Run one statement for many rows, pipelined."""
        async with self._connection.cursor() as cursor:
            await cursor.executemany(sql, rows)

    async def copy(self, sql: LiteralString, rows: Iterable[Sequence[object]], types: Sequence[str]) -> None:
        """Send rows to `COPY … FROM STDIN (FORMAT BINARY)`; `types` are the columns' types."""
        async with self._connection.cursor() as cursor, cursor.copy(sql) as copy:
            copy.set_types(types)
            for row in rows:
                await copy.write_row(row)

    async def fetch_one(self, sql: LiteralString, params: Params = None) -> Row | None:
        """The first row, as a dict by column name, or None."""
        cursor = await self._connection.execute(sql, params)
        return await cursor.fetchone()

    async def fetch_all(self, sql: LiteralString, params: Params = None) -> list[Row]:
        """All rows, as dicts by column name."""
        cursor = await self._connection.execute(sql, params)
        return await cursor.fetchall()

    @asynccontextmanager
    async def savepoint(self) -> AsyncGenerator[None]:
        """A nested transaction: an error inside rolls back to here only."""
        async with self._connection.transaction():
            yield


class Database:
    """A pool of connections of one role. `open` before use, `close` afterwards.

    With `idle` the server ends a transaction in which nothing is said for so many seconds.
    """

    def __init__(
        self, dsn: str, *, min_size: int = 1, max_size: int = 8, timeout: float = 10.0, idle: float = 0.0
    ) -> None:
        self._dsn = dsn

        async def configure(connection: psycopg.AsyncConnection[DictRow]) -> None:
            await connection.execute(
                "SELECT set_config('idle_in_transaction_session_timeout', %s, false)", (str(int(idle * 1000)),)
            )

        kwargs: dict[str, Any] = {"row_factory": dict_row, "autocommit": True}
        self._pool: AsyncConnectionPool[psycopg.AsyncConnection[DictRow]] = AsyncConnectionPool(
            dsn,
            connection_class=psycopg.AsyncConnection[DictRow],
            min_size=min_size,
            max_size=max_size,
            timeout=timeout,
            open=False,
            kwargs=kwargs,
            configure=configure,
            check=_alive,
        )

    @property
    def dsn(self) -> str:
        """The connection string, for a dedicated listening connection. Carries the password: never log it."""
        return self._dsn

    async def open(self) -> None:
        """Open the pool. Raises Unreachable when no connection can be had in time."""
        try:
            await self._pool.open(wait=True)
        except PoolTimeout as error:
            await self._pool.close()
            raise Unreachable(
                "PostgreSQL does not answer", remedy="Start it with `ameide up`, or see `ameide doctor`"
            ) from error

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.close()

    @asynccontextmanager
    async def transaction(self, tenant: str | None, *, point: str = "") -> AsyncGenerator[Transaction]:
        """One transaction in the context of a tenant; None sets none, which under the app role sees no tenant row.

        `point` names its commit for `ameide.faults`; the transaction may name another one until then.
        """
        try:
            async with self._pool.connection() as connection:
                async with connection.transaction():
                    if tenant is not None:
                        await connection.execute("SELECT set_config('ameide.tenant_id', %s, true)", (tenant,))
                    opened = Transaction(connection, point)
                    yield opened
                    reach(f"{opened.point}.before_commit")
                reach(f"{opened.point}.after_commit")
        except PoolTimeout as error:
            raise Unreachable(
                "no database connection became free in time", remedy="Try again, or raise the pool's size"
            ) from error
        except psycopg.errors.IdleInTransactionSessionTimeout as error:
            raise Unreachable("the database gave up waiting for this process", remedy="Try again") from error
        except (psycopg.errors.DiskFull, psycopg.errors.OutOfMemory) as error:
            raise Unreachable(
                f"the database server lacks room ({error.diag.message_primary})",
                remedy="Make room on its disk or in its memory; nothing of this call was written. Then try again",
            ) from error
        except psycopg.OperationalError as error:
            raise Unreachable(f"the database connection failed ({type(error).__name__})", remedy="Try again") from error


async def _alive(connection: psycopg.AsyncConnection[DictRow]) -> None:
    # One empty round trip spares the caller an error after a restart of the server.
    await connection.execute("")


# What a row's own content does, and no repetition cures.
BadData = (psycopg.DataError, psycopg.IntegrityError)


def password_of(dsn: str) -> str:
    """The password inside a connection string, or nothing."""
    return str(conninfo_to_dict(dsn).get("password") or "")
