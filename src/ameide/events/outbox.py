"""The outbox: what commits together with the state it tells of (contracts 8). Only the owning Domain writes here."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from ameide.events.messages import COLUMNS, OutboxMessage
from ameide.storage.db import Transaction
from ameide.storage.sql import load

__all__ = ["OutboxMessage", "append"]

_SQL = load("events")
_columns = attrgetter(*COLUMNS)


def append(tx: Transaction, messages: Sequence[OutboxMessage]) -> None:
    """Append in this order, with the commit.

    Call it under the aggregates' locks: they are held until then, so ids follow the order of an aggregate's commits.
    """
    for message in messages:
        tx.later(_SQL["append"], _columns(message))
