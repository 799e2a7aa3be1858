"""The audit trail, single facts with their whole message, and how the event column is doing."""

from __future__ import annotations

from dataclasses import dataclass

from protobuf.wkt import Timestamp

from ameide.contracts import facts as wire
from ameide.contracts import topics
from ameide.errors import Internal
from ameide.events.archived import ArchivedLog
from ameide.storage.db import Row
from ameide.storage.sql import load
from ameide.views import paging
from ameide.views.reading import Reading, not_found
from ameide.views.stuck import stuck
from ameide_core_proto.common.v1.metadata_pb import Actor, AggregateRef
from ameide_core_proto.common.v1.reading_pb import CitationKind, Page
from ameide_core_proto.transformation.governance.v1.query_service_pb import (
    AuditEntry,
    ConsumerState,
    GetStatusResponse,
    QueueState,
)

_SQL = load("views")


async def audit(reading: Reading, change_id: str, principal_id: str, page: Page | None) -> tuple[list[AuditEntry], str]:
    """Facts, newest first, of a change, of a principal (acting, or acted for), or all; and the next page's token."""
    size = paging.size_of(page)
    parameters = {
        "topics": list(topics.FACT_TOPICS),
        "before": paging.before(page),
        "change": change_id,
        "principal": principal_id,
        "limit": size + 1,
    }
    rows = await reading.tx.fetch_all(_SQL["audit"], parameters)
    token = paging.encode(rows[size - 1]["position"]) if len(rows) > size else ""
    return [_entry(reading, row) for row in rows[:size]], token


@dataclass(frozen=True, slots=True)
class FoundFact:
    """A message as the views have it. `payload` is None when it lies in the archive."""

    entry: AuditEntry
    message_id: str
    position: int
    topic: str
    payload: bytes | None


async def find_fact(reading: Reading, message_id: str) -> FoundFact:
    """One message. Raises NotFound."""
    row = await reading.tx.fetch_one(_SQL["get_fact"], {"id": message_id})
    if row is None:
        raise not_found("fact", message_id)
    return FoundFact(_entry(reading, row), message_id, row["position"], row["topic"], row["payload"])


async def body_of(found: FoundFact, archived: ArchivedLog) -> str:
    """The whole message as ProtoJSON. Raises Unreachable or Refused when its archive is away or damaged."""
    payload = found.payload
    if payload is None:
        payload = await _archived_payload(archived, found.position, found.message_id)
    if found.topic in topics.QUEUES:
        return wire.open_intent(payload).to_json()
    return wire.open_payload(found.topic, payload).message.to_json()


async def status(reading: Reading) -> GetStatusResponse:
    """The log, what waits before it, who reads it how far, and what waits for a person. Counts are the tenant's own."""
    heads = await reading.tx.fetch_one(_SQL["heads"])
    counts = await reading.tx.fetch_one(_SQL["open_counts"])
    assert heads is not None
    assert counts is not None
    head: int = heads["head"]
    queues = await reading.tx.fetch_all(_SQL["queues"])
    consumers = await reading.tx.fetch_all(_SQL["consumers"])
    return GetStatusResponse(
        log_position=head,
        outbox_pending=heads["pending"],
        outbox_oldest_age_seconds=max(0.0, heads["oldest"]),
        parked_messages=heads["parked"],
        queues=[
            QueueState(queue=row["queue"], ready=row["ready"], oldest_age_seconds=max(0.0, row["oldest"]))
            for row in queues
        ],
        consumers=[
            ConsumerState(consumer=row["name"], position=row["position"], lag=max(0, head - row["position"]))
            for row in consumers
        ],
        open_gates=counts["gates"],
        open_runs=counts["runs"],
        queued_runs=counts["queued"],
        stuck=await stuck(reading),
    )


async def _archived_payload(archived: ArchivedLog, position: int, message_id: str) -> bytes:
    # The position is of a row that the caller's tenant may see.
    found = await archived.find(position)
    if found is None or found.message_id != message_id:
        raise Internal(
            f"the message {message_id} is neither in the log nor in its archive",
            remedy="`ameide archive verify` tells whether the archive is whole",
        )
    return found.payload


def _entry(reading: Reading, row: Row) -> AuditEntry:
    of_process = row["topic"] == topics.PROCESS_FACTS
    kind = CitationKind.PROCESS_FACT if of_process else CitationKind.DOMAIN_FACT
    reading.cite(kind, row["message_id"], row["position"])
    return AuditEntry(
        log_position=row["position"],
        message_id=row["message_id"],
        topic=row["topic"],
        name=row["name"],
        occurred_at=Timestamp.from_datetime(row["occurred_at"]),
        actor=Actor(principal_id=row["actor"], on_behalf_of=row["on_behalf_of"]),
        aggregate=AggregateRef(type=row["aggregate_type"], id=row["aggregate_id"], version=row["aggregate_version"]),
        change_id=row["change_id"],
        process_instance_id=row["process_instance_id"],
        causation_id=row["causation_id"],
        text=row["text"],
    )
