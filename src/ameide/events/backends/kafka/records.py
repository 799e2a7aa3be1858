"""A message as a Kafka record: its key orders, its headers are the columns of the log, its value is the payload."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

from confluent_kafka import Message

from ameide.contracts import topics
from ameide.contracts.facts import open_intent, open_payload
from ameide.events.messages import COLUMNS, LoggedMessage, MessageKind
from ameide.events.ports import Invitation

POSITION = "log_position"
TRACE = "traceparent"
# Topic, key and value are the record's own. Its time, too, but only to the millisecond.
_IN_HEADERS = tuple(name for name in COLUMNS if name not in ("topic", "key", "payload"))
_NUMBERS = ("aggregate_version",)
_KINDS: tuple[MessageKind, ...] = ("fact", "intent", "process_fact")


def headers(message: LoggedMessage) -> list[tuple[str, str | bytes | None]]:
    """The columns of a message by name, its position in the log, and its trace, as text."""
    found: dict[str, str] = {POSITION: str(message.position)}
    for name in _IN_HEADERS:
        value = getattr(message, name)
        found[name] = value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)
    if trace := _trace(message):
        found[TRACE] = trace
    return [(name, value.encode()) for name, value in found.items()]


def message_of(record: Message) -> LoggedMessage:
    """The message that a record carries. Raises ValueError when it was not written by a forwarder."""
    known = _headers(record)
    try:
        columns: dict[str, object] = {name: known[name] for name in _IN_HEADERS}
        columns |= {name: int(known[name]) for name in _NUMBERS}
        position = int(known[POSITION])
    except KeyError as error:
        raise ValueError(f"the header {error} is missing") from error
    if columns["kind"] not in _KINDS:
        raise ValueError(f"{columns['kind']!r} is no kind of message")
    columns["occurred_at"] = datetime.fromisoformat(known["occurred_at"])
    columns |= {"topic": record.topic() or "", "key": (record.key() or b"").decode(), "payload": record.value() or b""}
    return LoggedMessage(position=position, **columns)  # pyright: ignore[reportArgumentType]


def invitation_of(record: Message) -> Invitation:
    """The invitation that a record of a queue carries. Raises ValueError when it is none.

    The headers alone are read: an executor needs to know no schema to claim.
    """
    known = _headers(record)
    try:
        tenant, work, dispatch = known["tenant_id"], known["work_request_id"], int(known["aggregate_version"])
    except KeyError as error:
        raise ValueError(f"the header {error} is missing") from error
    if not (tenant and work):
        raise ValueError("it names no work")
    return Invitation(record.topic() or "", tenant, work, dispatch)


def _headers(record: Message) -> dict[str, str]:
    pairs = cast("list[tuple[str, bytes | None]]", record.headers() or [])
    return {name: value.decode() for name, value in pairs if value is not None}


def _trace(message: LoggedMessage) -> str:
    """The trace in the envelope; none for a payload that this program cannot open, which consumers will park."""
    try:
        if message.topic in topics.QUEUES:
            envelope = open_intent(message.payload).metadata
        else:
            envelope = open_payload(message.topic, message.payload).metadata
    except ValueError:
        return ""
    return envelope.traceparent if envelope else ""
