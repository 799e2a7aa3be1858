"""PostgreSQL carries facts and intents: the log behind a cursor row, queue rows behind SKIP LOCKED."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from ameide.errors import Refused
from ameide.events.log import advance_cursor, lock_cursor, read
from ameide.events.messages import LoggedMessage
from ameide.events.ports import Delivery, Invitation
from ameide.events.wakeups import Wakeups
from ameide.storage.db import Database, Transaction
from ameide.storage.sql import load

_SQL = load("events")


class PostgresFactStream:
    """A place in the log. The transaction of a batch holds the consumer's cursor row, so other replicas stand by."""

    def __init__(self, db: Database, consumer: str, wakeups: Wakeups) -> None:
        self._db = db
        self._consumer = consumer
        self._bell = wakeups.subscribe("log")
        self._held = AsyncExitStack()
        self._tx: Transaction | None = None
        self._position = 0
        self._acknowledged = False

    async def activate(self) -> bool:
        """See `FactStream.activate`."""
        await self.release()
        async with AsyncExitStack() as held:
            tx = await held.enter_async_context(self._db.transaction(None))
            position = await lock_cursor(tx, self._consumer)
            if position is None:
                return False
            self._held, self._tx, self._position, self._acknowledged = held.pop_all(), tx, position, False
            return True

    async def fetch(self, limit: int) -> list[LoggedMessage]:
        """See `FactStream.fetch`."""
        async with self._active() as tx:
            return await read(tx, self._position, limit)

    async def acknowledge(self, position: int) -> None:
        """See `FactStream.acknowledge`."""
        async with self._active() as tx:
            tx.point = f"{self._consumer}.position"
            self._position, self._acknowledged = position, True

    async def wait(self, seconds: float) -> None:
        """See `FactStream.wait`."""
        await self._bell.wait(seconds)

    async def release(self) -> None:
        """See `FactStream.release`."""
        tx, self._tx = self._tx, None
        if tx is not None and self._acknowledged:
            await advance_cursor(tx, self._consumer, self._position)
        await self._held.aclose()

    async def close(self) -> None:
        """See `FactStream.close`."""
        await self.release()

    @asynccontextmanager
    async def _active(self) -> AsyncGenerator[Transaction]:
        if self._tx is None:
            raise Refused(
                "the stream is not active", remedy="Call activate first; it may have been lost with the connection"
            )
        try:
            yield self._tx
        except BaseException as error:
            # A broken transaction keeps nothing; leaving it says why and gives the connection back.
            self._tx = None
            await self._held.__aexit__(type(error), error, error.__traceback__)
            raise


class _QueueRow:
    def __init__(self, tx: Transaction, invitation: Invitation) -> None:
        self._tx = tx
        self._invitation = invitation

    @property
    def invitation(self) -> Invitation:
        return self._invitation

    async def acknowledge(self) -> None:
        await remove(self._tx, self._invitation)


class PostgresIntentQueue:
    """Queue rows of all tenants, read as the gateway role. `db` is the application's, which may take that role."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @asynccontextmanager
    async def receive(self, queues: Sequence[str]) -> AsyncGenerator[Delivery | None]:
        """See `IntentQueue.receive`."""
        async with self._db.transaction(None) as tx:
            await tx.execute(_SQL["as_gateway"])
            invitation = await take(tx, queues)
            yield None if invitation is None else _QueueRow(tx, invitation)

    async def close(self) -> None:
        """See `IntentQueue.close`. Nothing is kept for anyone."""


async def take(tx: Transaction, queues: Sequence[str]) -> Invitation | None:
    """Lock the oldest invitation that nobody else is answering. Needs the gateway role to see all tenants."""
    row = await tx.fetch_one(_SQL["take"], {"queues": list(queues)})
    if row is None:
        return None
    return Invitation(row["queue"], row["tenant_id"], row["work_request_id"], row["dispatch"])


async def remove(tx: Transaction, invitation: Invitation) -> None:
    """Delete a taken invitation; a later dispatch of the same work stays."""
    await tx.execute(
        _SQL["remove_invitation"],
        {
            "tenant_id": invitation.tenant_id,
            "work_request_id": invitation.work_request_id,
            "dispatch": invitation.dispatch,
        },
    )
