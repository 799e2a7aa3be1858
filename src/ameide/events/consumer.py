"""A consumer whose effect lies outside the database: it acts, then acknowledges. An effect may repeat, none is lost."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from ameide.events.messages import LoggedMessage
from ameide.events.parking import Parking, redrive
from ameide.events.ports import FactStream
from ameide.events.presence import RolePresence
from ameide.storage.db import Database


class Consumer:
    """Reads a fact stream in order and sets aside what it cannot process.

    A loop: `next_batch`; each message is parked when `is_parked(key)`, else acted upon, else parked with the error;
    then `acknowledge`. The key is the caller's choice and must name the tenant; it may be coarser than the message's.
    """

    def __init__(self, stream: FactStream, db: Database, name: str) -> None:
        self._stream = stream
        self._db = db
        self._name = name
        self._parking = Parking(name)
        self._presence = RolePresence(db, name)
        self._stuck: frozenset[str] = frozenset()
        self._last = 0
        # Positions of released messages in hand; those parked again are kept apart.
        self._returned: set[int] = set()
        self._again: set[int] = set()

    async def next_batch(self, limit: int = 100) -> list[LoggedMessage]:
        """The next messages in order: released ones before newer ones. Empty when idle or standing by.

        What the last batch left unacknowledged is delivered again. Raises Unreachable.
        """
        await self._presence.beat()
        if not await self._stream.activate():
            return []
        async with self._db.transaction(None) as tx:
            keys = await self._parking.keys(tx)
            returned = await self._parking.released(tx, limit) if keys.released else []
        self._stuck, self._again = keys.stuck, set()
        self._returned = {message.position for message in returned}
        batch = returned or await self._stream.fetch(limit)
        if batch:
            self._last = batch[-1].position
        else:
            await self._stream.release()
        return batch

    async def acknowledge(self, position: int) -> None:
        """The message at the position, and everything before it, has had its effect or is parked."""
        if position not in self._returned:
            await self._stream.acknowledge(position)
        elif position not in self._again:
            async with self._db.transaction(None, point=f"{self._name}.unpark") as tx:
                await self._parking.unpark(tx, position)
        if position == self._last:
            await self._stream.release()

    def is_parked(self, key: str) -> bool:
        """Whether messages of this key must wait: an earlier one could not be processed."""
        return key in self._stuck

    async def park(self, message: LoggedMessage, key: str, error: str, *, pause: float | None = None) -> None:
        """Set the message aside and let the others flow. Acknowledge it afterwards like any other.

        With a pause (seconds) the key comes up in `due` by itself; else a person must release it.
        """
        self._again.add(message.position)
        async with self._db.transaction(None, point=f"{self._name}.park") as tx:
            if key in self._stuck:
                await self._parking.park_behind(tx, message, key)
            else:
                await self._parking.park(tx, message, key, error, pause)
                self._stuck |= {key}

    async def due(self, limit: int = 100) -> list[LoggedMessage]:
        """The messages that hold up keys whose pause is over, to be tried beside the batches."""
        async with self._db.transaction(None) as tx:
            return await self._parking.due(tx, limit)

    async def postpone(self, message: LoggedMessage, key: str, error: str, pause: float) -> None:
        """A due message failed again: due after the pause, or after as long as it has waited, at most a minute."""
        async with self._db.transaction(None) as tx:
            await self._parking.park(tx, message, key, error, pause)

    async def redrive(self, key: str) -> None:
        """What held up the key had its effect: its messages are delivered again, in order, before anything newer."""
        await redrive(self._db, self._name, key)

    def hindered(self, trouble: str) -> None:
        """What keeps this consumer from getting on, for people; empty when nothing does."""
        self._presence.hindered(trouble)

    async def wait(self, seconds: float) -> None:
        """Return when there may be more, or after about `seconds`."""
        await self._stream.wait(seconds)

    async def release(self) -> None:
        """Stop being the active one until the next batch, e.g. before a long pause; what was acknowledged stays so."""
        await self._stream.release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stream.close()
