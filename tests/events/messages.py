"""Messages of one tenant, as the outbox takes them, and how they get into the log."""

from __future__ import annotations

from datetime import UTC, datetime

from ameide.contracts import topics
from ameide.contracts.ids import new_message_id
from ameide.events.outbox import OutboxMessage, append
from ameide.events.relay import Relay
from ameide.events.wakeups import Wakeups
from ameide.storage.db import Database

TENANT = "acme"


def fact(work: str, version: int = 1, payload: bytes = b"fact", run: str = "") -> OutboxMessage:
    """A fact of a work."""
    return _message(topics.WORK_FACTS, "fact", "WorkStarted", work, version, payload, run)


def intent(work: str, queue: str = topics.QUEUE_CODER, payload: bytes = b"intent") -> OutboxMessage:
    """An invitation to a work."""
    return _message(queue, "intent", "WorkExecutionRequested", work, 1, payload, "")


def _message(topic: str, kind: str, name: str, work: str, version: int, payload: bytes, run: str) -> OutboxMessage:
    return OutboxMessage(
        tenant_id=TENANT,
        topic=topic,
        kind="fact" if kind == "fact" else "intent",
        key=f"{TENANT}:{work}",
        message_id=new_message_id(),
        name=name,
        aggregate_type="work",
        aggregate_id=work,
        aggregate_version=version,
        process_instance_id=run,
        correlation_id="chg-1",
        causation_id="",
        work_request_id=work,
        occurred_at=datetime.now(UTC),
        payload=payload,
    )


async def say(app: Database, relay: Relay, *messages: OutboxMessage) -> None:
    """Commit to the outbox and sequence all of it."""
    async with app.transaction(TENANT) as tx:
        append(tx, messages)
    while await relay.move():
        pass


def relay_of(db: Database, elsewhere: frozenset[str] = frozenset()) -> Relay:
    """A relay that leaves the queues `elsewhere` alone."""
    return Relay(db, Wakeups(), elsewhere=elsewhere)
