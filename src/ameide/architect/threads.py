"""The threads of one tenant: the graph on its checkpointer, and what is kept of it."""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from ameide.architect.graph import Graph, Snapshot, compiled
from ameide.errors import Refused

if TYPE_CHECKING:
    from langgraph.checkpoint.postgres.aio import Conn

log = logging.getLogger(__name__)
_SWEEP_SECONDS = 3600.0


class Store(Protocol):
    """Where the threads of one tenant lie; see `ameide.storage.threads`."""

    @property
    def pool(self) -> Conn: ...

    def hold(self, conversation_id: str, person: str = "") -> AbstractAsyncContextManager[Conn]: ...

    async def person(self, conversation_id: str) -> str: ...

    async def forget(self, conversation_id: str) -> None: ...

    async def old(self, days: int) -> list[str]: ...

    async def is_old(self, conversation_id: str, days: int) -> bool: ...

    def name(self, conversation_id: str) -> str: ...


class Threads:
    """Threads by their conversations. Make it inside the event loop that uses it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._saver = _saver(store.pool)
        self.graph: Graph = compiled(self._saver)

    @asynccontextmanager
    async def held(self, conversation_id: str, person: str) -> AsyncGenerator[Threads]:
        """These threads for a turn of that person, to write one of them: by the connection that holds it.

        When that connection ends, somebody else may hold the thread, and nothing is written beside them. Raises Refused
        (TURN_RUNNING) while somebody else has it, and Unreachable when it is lost in between.
        """
        async with self.store.hold(conversation_id, person) as connection:
            own = copy.copy(self)
            own._saver = _saver(connection)
            own.graph = self.graph.copy({"checkpointer": own._saver})
            yield own

    def config(self, conversation_id: str) -> dict[str, Any]:
        """What names a thread to the graph."""
        # A turn is bounded by its own limits, long before so many steps.
        return {"configurable": {"thread_id": self.store.name(conversation_id)}, "recursion_limit": 1000}

    async def at(self, conversation_id: str) -> Snapshot:
        """Where a thread is."""
        return await self.graph.aget_state(self.config(conversation_id))

    async def shorten(self, conversation_id: str) -> None:
        """Keep the newest checkpoint only. The caller holds the thread."""
        await self._saver.aprune([self.store.name(conversation_id)], strategy="keep_latest")

    async def sweep(self, days: int) -> int:
        """Forget what is older than that; how many conversations it was. A thread in use is left for the next time."""
        gone = 0
        while old := await self.store.old(days):
            before = gone
            for conversation_id in old:
                gone += await self._forget(conversation_id, days)
            if gone == before:
                break
        return gone

    async def _forget(self, conversation_id: str, days: int) -> bool:
        try:
            async with self.store.hold(conversation_id):
                if not await self.store.is_old(conversation_id, days):
                    return False
                await self.store.forget(conversation_id)
        except Refused:
            return False
        log.info("a conversation was forgotten", extra={"conversation_id": conversation_id, "days": days})
        return True


def _saver(conn: Conn) -> AsyncPostgresSaver:
    # Nothing but plain values is read back: a checkpoint that names code is refused.
    serde = JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=None)
    return AsyncPostgresSaver(conn=conn, serde=serde)


async def sweeping(threads: Threads, days: int) -> None:
    """Forget old conversations now and then, until it is cancelled; a database that does not answer is asked again."""
    while True:
        try:
            await threads.sweep(days)
        except Exception:
            log.exception("old conversations could not be forgotten")
        await asyncio.sleep(_SWEEP_SECONDS)
