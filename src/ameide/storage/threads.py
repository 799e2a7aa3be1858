"""Where the Architect agent keeps what was said: connections that see one tenant's threads, and who holds which."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import psycopg
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from ameide.errors import Refused, Unreachable
from ameide.storage import sql
from ameide.storage.answering import answering

_SQL = sql.load("threads")
_AT_REST = (TransactionStatus.IDLE, PipelineStatus.OFF)
Connection = psycopg.AsyncConnection[DictRow]


class Pool(AsyncConnectionPool[Connection]):
    """Connections whose failures are ours, whoever takes one: the store, or the checkpointer."""

    @asynccontextmanager
    async def connection(self, timeout: float | None = None) -> AsyncGenerator[Connection]:
        """One of them. Raises Unreachable when there is none, or when it ends in between."""
        with answering():
            async with super().connection(timeout) as connection:
                yield connection


class Threads:
    """The threads of one tenant: row-level security hides the others. `open` before use, `close` afterwards.

    `pool` is for reads of the checkpointer: its connections commit each statement and answer rows as dicts. So do those
    that turns have, one each while it lasts, at most `turns`.
    """

    def __init__(self, dsn: str, tenant_id: str, *, turns: int = 16) -> None:
        self._tenant = tenant_id
        self.pool = _pool(dsn, tenant_id, 1, 8)
        self._held = _pool(dsn, tenant_id, 0, turns)

    async def open(self) -> None:
        """Connect. Raises Unreachable when PostgreSQL does not answer."""
        try:
            await self.pool.open(wait=True)
            await self._held.open(wait=False)
        except PoolTimeout as error:
            await self.close()
            raise Unreachable(
                "PostgreSQL does not answer", remedy="Start it with `ameide up`, or see `ameide doctor`"
            ) from error

    async def close(self) -> None:
        """Close all connections."""
        await self._held.close()
        await self.pool.close()

    async def check(self) -> None:
        """Raises when the database does not answer."""
        async with self.pool.connection() as connection:
            await connection.execute("SELECT 1")

    @asynccontextmanager
    async def hold(self, conversation_id: str, person: str = "") -> AsyncGenerator[Connection]:
        """Have a thread for oneself: for a turn of that person, or for none.

        Whoever has it lost has lost the connection that this gives: what is written by it is written by the holder.
        Raises Refused (TURN_RUNNING) while somebody else has it. A process that dies lets go of it at once.
        """
        thread = self.name(conversation_id)
        async with self._held.connection() as connection:
            row = await (await connection.execute(_SQL["hold"], (thread,))).fetchone()
            if row is None or not row["held"]:
                raise Refused(
                    f"a turn of {conversation_id} is still going on",
                    remedy="Wait until it has ended, or end the program that waits for it",
                    reason="TURN_RUNNING",
                )
            try:
                if person:
                    await connection.execute(_SQL["touch"], (self._tenant, conversation_id, person))
                yield connection
            finally:
                await _let_go(connection, thread)

    async def person(self, conversation_id: str) -> str:
        """Whose conversation it is; empty when nothing is kept of it."""
        async with self.pool.connection() as connection:
            row = await (await connection.execute(_SQL["person"], (self._tenant, conversation_id))).fetchone()
        return str(row["person"]) if row else ""

    async def forget(self, conversation_id: str) -> None:
        """Delete what was said. The caller holds the thread."""
        named = {"tenant": self._tenant, "conversation": conversation_id, "thread": self.name(conversation_id)}
        async with self.pool.connection() as connection:
            await connection.execute(_SQL["forget"], named)

    async def old(self, days: int) -> list[str]:
        """Some conversations whose last turn is longer ago than that."""
        async with self.pool.connection() as connection:
            rows = await (await connection.execute(_SQL["old"], (self._tenant, days))).fetchall()
        return [str(row["conversation_id"]) for row in rows]

    async def is_old(self, conversation_id: str, days: int) -> bool:
        """Whether its last turn is longer ago than that."""
        async with self.pool.connection() as connection:
            found = await connection.execute(_SQL["is_old"], (self._tenant, conversation_id, days))
            return await found.fetchone() is not None

    def name(self, conversation_id: str) -> str:
        """What the thread of a conversation is called in the checkpointer's tables."""
        return f"{self._tenant}/{conversation_id}"


async def _let_go(connection: Connection, thread: str) -> None:
    # One that was left in the middle of a statement takes no other; the lock ends with its connection as well.
    if (connection.info.transaction_status, connection.info.pipeline_status) == _AT_REST:
        with suppress(psycopg.Error):
            await connection.execute(_SQL["let_go"], (thread,))
            return
    await connection.close()


def _pool(dsn: str, tenant_id: str, least: int, most: int) -> Pool:
    async def configure(connection: Connection) -> None:
        await connection.execute(
            "SELECT set_config('ameide.tenant_id', %s, false), set_config('search_path', 'architect', false)",
            (tenant_id,),
        )

    return Pool(
        dsn,
        connection_class=Connection,
        min_size=least,
        max_size=most,
        timeout=10.0,
        open=False,
        kwargs={"row_factory": dict_row, "autocommit": True},
        configure=configure,
        check=_alive,
    )


async def _alive(connection: Connection) -> None:
    await connection.execute("")
