"""A wire that a test can cut: a TCP proxy in front of PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.conftest import SpineDatabase

_CHUNK = 65536


@dataclass
class Wire:
    """`cut` ends the connection of the next COMMIT: before the server gets it, or with its answer on the way back.

    While `dead`, nothing passes in either direction and nobody is told.
    """

    database: SpineDatabase
    port: int = 0
    cut: Literal["", "before", "after"] = ""
    dead: bool = False
    cuts: int = 0
    # Chunks that got lost while it was dead; their connections stay dead.
    swallowed: int = 0
    _pumps: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    _connections: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    def dsn(self, role: str) -> str:
        """The connection string of a role, by way of this wire and in the clear."""
        direct = conninfo_to_dict(self.database.dsn(role))
        return make_conninfo("", **{**direct, "host": "127.0.0.1", "port": self.port, "sslmode": "disable"})

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until one side ends it or it is cut."""
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        address = self.database.address
        answers, server = await asyncio.open_connection(address.host, address.port)
        committed = asyncio.Event()
        pumps = [
            asyncio.create_task(self._requests(reader, server, committed)),
            asyncio.create_task(self._answers(answers, writer, committed)),
        ]
        self._pumps.update(pumps)
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.wait(pumps)
            self._pumps.difference_update(pumps)
            writer.close()
            server.close()
            self._connections.discard(task)

    async def _requests(
        self, client: asyncio.StreamReader, server: asyncio.StreamWriter, committed: asyncio.Event
    ) -> None:
        while data := await client.read(_CHUNK):
            if self.dead:
                self.swallowed += 1
                await asyncio.Event().wait()
            if self.cut and b"COMMIT" in data:
                when, self.cut, self.cuts = self.cut, "", self.cuts + 1
                if when == "before":
                    return
                committed.set()
            server.write(data)
            await server.drain()

    async def _answers(
        self, server: asyncio.StreamReader, client: asyncio.StreamWriter, committed: asyncio.Event
    ) -> None:
        while data := await server.read(_CHUNK):
            # The server has answered, so it has committed; nobody will hear of it.
            if committed.is_set():
                return
            if self.dead:
                self.swallowed += 1
                await asyncio.Event().wait()
            client.write(data)
            await client.drain()

    async def close(self) -> None:
        """End what is still connected."""
        for pump in self._pumps:
            pump.cancel()
        if self._connections:
            await asyncio.wait(list(self._connections))


@asynccontextmanager
async def wire(database: SpineDatabase) -> AsyncGenerator[Wire]:
    """A wire to the database, on a free port."""
    made = Wire(database)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.close()
