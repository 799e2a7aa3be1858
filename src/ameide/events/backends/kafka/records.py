"""A message as a Kafka record: its key orders, its headers are the columns of the log, its value is the payload."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from operator import attrgetter, itemgetter
from typing import Any, cast

from confluent_kafka import Message

from ameide.contracts.facts import envelope_of
from ameide.events.messages import COLUMNS, LoggedMessage, MessageKind
from ameide.events.ports import Invitation

POSITION = "log_position"
TRACE = "traceparent"
VERSION = "aggregate_version"
TIME = "occurred_at"
HEADERS = {
    POSITION: "the place in the one order of the log; what is written again has the same one",
    "message_id": "identifies the message, for deduplication",
    "tenant_id": "the tenant",
    "kind": "`fact`, `process_fact` or `intent`",
    "name": "what is said, e.g. `GateDecided`",
    "aggregate_type": "what it is about",
    "aggregate_id": "which one",
    VERSION: "the version that the fact made; of an invitation its dispatch",
    "process_instance_id": "the run, empty when it belongs to none",
    "correlation_id": "the change",
    "causation_id": "the message that led to it",
    "work_request_id": "the work, of an invitation and of facts about work",
    TIME: "by the database's clock, ISO 8601 in UTC, to the microsecond",
    TRACE: "W3C trace context, when the message belongs to a trace",
}
"""What travels beside key and payload, and what each header means."""
# Topic, key and value are the record's own. Its time, too, but only to the millisecond.
_TEXTS = tuple(name for name in COLUMNS if name not in ("topic", "key", "payload", VERSION, TIME))
_texts_of: Callable[[LoggedMessage], tuple[str, ...]] = attrgetter(*_TEXTS)
_values = cast("Callable[[dict[str, object]], tuple[Any, ...]]", itemgetter(*COLUMNS))
_KINDS: tuple[MessageKind, ...] = ("fact", "intent", "process_fact")
# What ids have at most, and what the log counts to. Whoever else may write to a topic is not to be believed.
_ID_CHARS, _MOST = 63, (1 << 63) - 1


def headers(message: LoggedMessage) -> list[tuple[str, str | bytes | None]]:
    """The columns of a message by name, its position in the log, and its trace, as text."""
    found: list[tuple[str, str | bytes | None]] = [
        (POSITION, b"%d" % message.position),
        (VERSION, b"%d" % message.aggregate_version),
        (TIME, message.occurred_at.astimezone(UTC).isoformat().encode()),
    ]
    found += zip(_TEXTS, map(str.encode, _texts_of(message)), strict=True)
    if trace := _trace(message.payload):
        found.append((TRACE, trace.encode()))
    return found


def message_of(record: Message) -> LoggedMessage:
    """The message that a record carries. Raises ValueError when it was not written by a forwarder."""
    known = _headers(record)
    try:
        version, time, position = int(known[VERSION]), datetime.fromisoformat(known[TIME]), int(known[POSITION])
        own = {
            "topic": record.topic() or "",
            "key": (record.key() or b"").decode(),
            "payload": record.value() or b"",
            VERSION: version,
            TIME: time,
        }
        message = LoggedMessage(*_values({**known, **own}), position=position)
    except KeyError as error:
        raise ValueError(f"the header {error} is missing") from error
    if message.kind not in _KINDS:
        raise ValueError("it is no kind of message")
    if not 0 < position <= _MOST:
        raise ValueError("it has no place that a log could have")
    return message


def invitation_of(record: Message) -> Invitation:
    """The invitation that a record of a queue carries. Raises ValueError when it is none.

    The headers alone are read: an executor needs to know no schema to claim.
    """
    known = _headers(record)
    try:
        tenant, work, dispatch = known["tenant_id"], known["work_request_id"], int(known["aggregate_version"])
    except KeyError as error:
        raise ValueError(f"the header {error} is missing") from error
    if not all(0 < len(one) <= _ID_CHARS and one.isprintable() for one in (tenant, work)):
        raise ValueError("it names no work")
    return Invitation(record.topic() or "", tenant, work, dispatch)


def _headers(record: Message) -> dict[str, str]:
    pairs = cast("list[tuple[str, bytes | None]]", record.headers() or [])
    return {name: value.decode() for name, value in pairs if value is not None}


def _trace(payload: bytes) -> str:
    """The trace in the envelope; none for a payload that this program cannot open, which consumers will park."""
    try:
        return envelope_of(payload).traceparent
    except ValueError:
        return ""
