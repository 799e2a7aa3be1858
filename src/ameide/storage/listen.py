"""A dedicated connection for LISTEN and NOTIFY: outside every business transaction, and outside the pool."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql

from ameide.errors import Unreachable
from ameide.storage.connection import Connection

# A server that says nothing for so long to an empty question is taken for dead.
ANSWER_SECONDS = 10.0


@asynccontextmanager
async def _reported() -> AsyncGenerator[None]:
    try:
        yield
    except psycopg.OperationalError as error:
        raise Unreachable(f"the notification connection failed ({type(error).__name__})", remedy="Try again") from error


class Line:
    """One connection that sends or hears notifications. Every method raises Unreachable once the connection is lost."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, dsn: str) -> Self:
        """Connect. Raises Unreachable when nobody answers within ten seconds."""
        async with _reported():
            return cls(await Connection.connect(dsn, autocommit=True, connect_timeout=10))

    @property
    def pid(self) -> int:
        """The server process of this connection: notifications name their sender by it."""
        return self._connection.info.backend_pid

    async def listen(self, channels: Sequence[str]) -> None:
        """Hear these channels from now on."""
        async with _reported():
            for channel in channels:
                await self._connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))

    async def notify(self, channels: Sequence[str]) -> None:
        """Tell every listener of these channels; commits at once."""
        async with _reported(), self._answered():
            await self._connection.execute(
                "SELECT pg_notify(channel, '') FROM unnest(%s::text[]) AS channel", (list(channels),)
            )

    async def heard(self, timeout: float) -> list[tuple[str, int]]:
        """(channel, sender's pid) of what arrived, waiting up to `timeout` seconds for a first one."""
        async with _reported():
            return [(note.channel, note.pid) async for note in self._connection.notifies(timeout=timeout, stop_after=1)]

    async def probe(self) -> None:
        """Ask the server for a sign of life: a dead peer is not noticed by listening alone."""
        async with _reported(), self._answered():
            await self._connection.execute("SELECT 1")

    @asynccontextmanager
    async def _answered(self) -> AsyncGenerator[None]:
        # Cancelling would wait for the server in its turn; a connection that is shut down fails at once.
        timer = asyncio.get_running_loop().call_later(ANSWER_SECONDS, self._hang_up)
        try:
            yield
        finally:
            timer.cancel()

    def _hang_up(self) -> None:
        with socket.socket(fileno=os.dup(self._connection.pgconn.socket)) as end, suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)

    async def close(self) -> None:
        """Give the connection up."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
