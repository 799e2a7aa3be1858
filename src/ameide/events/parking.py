"""Parking: a message that cannot be processed waits aside, with the later ones of its key; the others flow.

`redrive` releases a key after its cause was removed: its messages come again in order, before anything newer. All
messages of a key are released or none, which is why releasing waits for the consumer's cursor. A key that waits for
what comes right by itself is released by its consumer, once the message that holds it up has had its effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ameide.events.log import wait_for_cursor
from ameide.events.messages import LoggedMessage
from ameide.storage.db import Database, Transaction
from ameide.storage.sql import load

_SQL = load("events")
_MAX_ERROR = 4000


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys that have parked messages: stuck ones, and those released for another try."""

    stuck: frozenset[str]
    released: frozenset[str]


@dataclass(frozen=True, slots=True)
class Parked:
    """A message that waits aside, for people."""

    consumer: str
    key: str
    position: int
    message_id: str
    name: str
    error: str
    parked_at: datetime
    # Released, and not delivered again yet.
    redriven: bool
    # When its key is released without a person; None: it needs one, or waits behind an earlier message.
    retry_at: datetime | None


class Parking:
    """The parked messages of one consumer. A key names its tenant, so keys of two tenants never meet."""

    def __init__(self, consumer: str) -> None:
        self._consumer = consumer

    async def keys(self, tx: Transaction) -> Keys:
        """Both sets, from one snapshot."""
        rows = await tx.fetch_all(_SQL["parked_keys"], {"consumer": self._consumer})
        return Keys(
            stuck=frozenset(row["key"] for row in rows if row["stuck"]),
            released=frozenset(row["key"] for row in rows if row["released"]),
        )

    async def due(self, tx: Transaction, limit: int) -> list[LoggedMessage]:
        """The messages that hold up keys whose pause is over."""
        rows = await tx.fetch_all(_SQL["due"], {"consumer": self._consumer, "limit": limit})
        return [LoggedMessage.of(row) for row in rows]

    async def released(self, tx: Transaction, limit: int) -> list[LoggedMessage]:
        """Released messages, in order."""
        rows = await tx.fetch_all(_SQL["released"], {"consumer": self._consumer, "limit": limit})
        return [LoggedMessage.of(row) for row in rows]

    async def park(
        self, tx: Transaction, message: LoggedMessage, key: str, error: str, pause: float | None = None
    ) -> None:
        """Set a message aside because of `error`; the others of its key wait with it, for a person or a pause (s)."""
        await self._put(tx, message, key, error, pause=pause)
        await tx.execute(_SQL["hold_key"], {"consumer": self._consumer, "key": key})

    async def park_behind(self, tx: Transaction, message: LoggedMessage, key: str) -> None:
        """Set a message aside because an earlier one of its key is."""
        await self._put(tx, message, key, "waits behind an earlier message of its key", behind=True)

    async def unpark(self, tx: Transaction, position: int) -> None:
        """Forget a released message that has had its effect."""
        await tx.execute(_SQL["unpark"], {"consumer": self._consumer, "position": position})

    async def _put(
        self,
        tx: Transaction,
        message: LoggedMessage,
        key: str,
        error: str,
        *,
        behind: bool = False,
        pause: float | None = None,
    ) -> None:
        own = {
            "consumer": self._consumer,
            "position": message.position,
            "key": key,
            "behind": behind,
            "pause": pause,
        }
        # NUL is the one character that PostgreSQL's text cannot hold.
        text = error.replace("\0", "\ufffd")[:_MAX_ERROR]
        await lock_key(tx, self._consumer, key)
        await tx.execute(_SQL["park"], {**message.columns, **own, "error": text})


async def lock_key(tx: Transaction, consumer: str, key: str) -> None:
    """Until the transaction ends nobody else sets aside or releases messages of this key."""
    await tx.execute(_SQL["lock_key"], {"consumer": consumer, "key": key})


async def list_parked(db: Database) -> list[Parked]:
    """All parked messages that the role of `db` sees, in order of consumer and position."""
    async with db.transaction(None) as tx:
        return [Parked(**row) for row in await tx.fetch_all(_SQL["list_parked"])]


async def redrive(db: Database, consumer: str, key: str) -> int:
    """Release the parked messages of a key, to be delivered again in order; returns how many.

    `db` is of a role that may update the parked messages. Waits for the batch that the consumer has in hand.
    """
    async with db.transaction(None) as tx:
        await wait_for_cursor(tx, consumer)
        await lock_key(tx, consumer, key)
        return await tx.execute(_SQL["redrive"], {"consumer": consumer, "key": key})
