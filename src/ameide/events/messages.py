"""Messages as rows: how the Domain hands them to the outbox, how consumers get them from the log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal, Self, cast

if TYPE_CHECKING:
    # Executors know messages and no database.
    from ameide.storage.db import Row

MessageKind = Literal["fact", "intent", "process_fact"]


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """One message on its way to the log. `key` orders: messages of one key are never reordered."""

    tenant_id: str
    topic: str
    kind: MessageKind
    key: str
    message_id: str
    name: str
    aggregate_type: str
    aggregate_id: str
    # Of an intent: its dispatch, so that a later invitation to the same work replaces an earlier one.
    aggregate_version: int
    process_instance_id: str
    correlation_id: str
    causation_id: str
    work_request_id: str
    occurred_at: datetime
    payload: bytes


COLUMNS = tuple(field.name for field in fields(OutboxMessage))
_values = cast("Callable[[Row], tuple[Any, ...]]", itemgetter(*COLUMNS))


@dataclass(frozen=True, slots=True)
class LoggedMessage(OutboxMessage):
    """A message with its place in the one order of the log."""

    position: int
    # True when it comes back from parking.
    redriven: bool = False

    @classmethod
    def of(cls, row: Row) -> Self:
        """The message of a row of the log or of the parked messages."""
        return cls(*_values(row), position=row["position"], redriven=bool(row.get("redriven")))

    @property
    def columns(self) -> dict[str, object]:
        """Its columns by name, without the position."""
        return {name: getattr(self, name) for name in COLUMNS}
