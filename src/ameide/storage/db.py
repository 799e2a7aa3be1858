"""Connections and transactions. A transaction names its tenant, and row-level security does the rest."""

from __future__ import annotations

import select
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from ameide.errors import Unreachable
from ameide.faults import reach
from ameide.storage.answering import answering
from ameide.storage.connection import Answer, Connection, Params, Row, Statement

__all__ = ["BadData", "Database", "Opening", "Params", "Row", "Transaction", "password_of"]

# For processes that others wait for: one that is stopped in the middle of a transaction must not keep its locks.
IDLE_SECONDS = 10.0

# How a transaction gets its tenant: one row, with the database's clock as `now`.
_OPENING: LiteralString = "SELECT set_config('ameide.tenant_id', %s, true), clock_timestamp() AS now"
# Rows that are written with one send: enough to make round trips cheap, and little to hold.
_AT_ONCE = 500


class Opening(NamedTuple):
    """The statement that sets the tenant of a transaction, and what is done with its row as soon as it comes.

    It has the clock as `now`. What `look` raises comes out of the first statement that is waited for.
    """

    sql: LiteralString
    params: Params
    look: Callable[[Row], None]


class Transaction:
    """One open transaction. Everything written through it commits together or not at all.

    A statement whose result nobody waits for is handed over by `later`: it travels with the next one that is waited
    for, in order, at the latest with the commit, and costs no round trip of its own.
    `point` names its commit for `ameide.faults`; empty for one that has written nothing, which no fault can undo.
    """

    def __init__(self, connection: Connection, opening: Opening | None, point: str) -> None:
        self._connection = connection
        self.point = point
        self._waiting: list[Statement] = [("BEGIN", None)]
        self._opening = opening
        self._now: datetime | None = None
        if opening is not None:
            self._waiting.append((opening.sql, opening.params))

    @property
    def now(self) -> datetime:
        """The database's clock at the first statement that was waited for. Raises RuntimeError before it."""
        if self._now is None:
            raise RuntimeError("the transaction has no clock before its first answer, and none without a tenant")
        return self._now

    async def open(self) -> None:
        """Look at the opening now, if it did not come yet: with the first statement that is waited for it would."""
        if self._opening is not None:
            await self._flush()

    def later(self, sql: LiteralString, params: Params = None) -> None:
        """Run a statement with the next one that is waited for. What it raises is raised there."""
        self._waiting.append((sql, params))

    async def execute(self, sql: LiteralString, params: Params = None) -> int:
        """Run a statement; returns the number of rows it touched."""
        return (await self._answer(sql, params)).touched

    async def execute_many(self, sql: LiteralString, rows: Sequence[Sequence[object]]) -> None:
        """Run one statement for many rows."""
        for start in range(0, len(rows), _AT_ONCE):
            for row in rows[start : start + _AT_ONCE]:
                self.later(sql, row)
            await self._flush()

    async def copy(self, sql: LiteralString, rows: Iterable[Sequence[object]], types: Sequence[str]) -> None:
        """Send rows to `COPY … FROM STDIN (FORMAT BINARY)`; `types` are the columns' types."""
        await self._flush()
        async with self._connection.cursor() as cursor, cursor.copy(sql) as copy:
            copy.set_types(types)
            for row in rows:
                await copy.write_row(row)

    async def fetch_one(self, sql: LiteralString, params: Params = None) -> Row | None:
        """The first row, as a dict by column name, or None."""
        rows = (await self._answer(sql, params)).rows
        return rows[0] if rows else None

    async def fetch_all(self, sql: LiteralString, params: Params = None) -> list[Row]:
        """All rows, as dicts by column name."""
        return (await self._answer(sql, params)).rows

    async def fetch_each(self, *statements: Statement) -> list[list[Row]]:
        """The rows of several statements, each with a snapshot of its own, in one round trip."""
        self._waiting += statements
        return [answer.rows for answer in (await self._flush())[-len(statements) :]]

    @asynccontextmanager
    async def savepoint(self) -> AsyncGenerator[None]:
        """A nested transaction: an error inside rolls back to here only."""
        await self._flush()
        async with self._connection.transaction():
            yield
            await self._flush()

    async def commit(self) -> None:
        """Make everything durable, what waits included. For `Database.transaction`, as `roll_back` is."""
        await self.open()
        self.later("COMMIT")
        await self._flush()

    async def roll_back(self) -> None:
        """Undo everything; does nothing on a connection that is gone."""
        self._waiting.clear()
        if self._connection.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            await self._connection.exchange([("ROLLBACK", None)])

    async def _answer(self, sql: LiteralString, params: Params) -> Answer:
        self.later(sql, params)
        return (await self._flush())[-1]

    async def _flush(self) -> list[Answer]:
        """Send what waits and take the answers. Raises what the first that failed raises; the others did not run."""
        statements, self._waiting = self._waiting, []
        if not statements:
            return []
        answers = await self._connection.exchange(statements)
        if self._opening is not None:
            [row], opening, self._opening = answers[1].rows, self._opening, None
            self._now = row["now"]
            opening.look(row)
        return answers


class Database:
    """A pool of connections of one role. `open` before use, `close` afterwards.

    With `idle` the server ends a transaction in which nothing is said for so many seconds.
    """

    def __init__(
        self, dsn: str, *, min_size: int = 1, max_size: int = 8, timeout: float = 10.0, idle: float = 0.0
    ) -> None:
        self._dsn = dsn

        async def configure(connection: Connection) -> None:
            await connection.execute(
                "SELECT set_config('idle_in_transaction_session_timeout', %s, false)", (str(int(idle * 1000)),)
            )

        kwargs: dict[str, Any] = {"row_factory": dict_row, "autocommit": True}
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            dsn,
            connection_class=Connection,
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
    async def transaction(self, tenant: str | Opening | None, *, point: str = "") -> AsyncGenerator[Transaction]:
        """One transaction in the context of a tenant; None sets none, which under the app role sees no tenant row.

        `point` names its commit for `ameide.faults`; the transaction may name another one until then.
        """
        opening = Opening(_OPENING, (tenant,), _nothing) if isinstance(tenant, str) else tenant
        with answering():
            async with self._pool.connection() as connection:
                tx = Transaction(connection, opening, point)
                try:
                    yield tx
                    reach(f"{tx.point}.before_commit")
                    await tx.commit()
                except BaseException:
                    await tx.roll_back()
                    raise
                reach(f"{tx.point}.after_commit")


def _nothing(_row: Row) -> None:
    """The look at an opening that says nothing but the time."""


async def _alive(connection: Connection) -> None:
    # A server says nothing to an idle connection but that it ends: only what has something to read is worth asking.
    # That spares the caller an error after a restart, and everybody else a round trip.
    looking = select.poll()
    looking.register(connection.fileno(), select.POLLIN)
    if looking.poll(0):
        await connection.execute("")


# What a row's own content does, and no repetition cures.
BadData = (psycopg.DataError, psycopg.IntegrityError)


def password_of(dsn: str) -> str:
    """The password inside a connection string, or nothing."""
    return str(conninfo_to_dict(dsn).get("password") or "")
