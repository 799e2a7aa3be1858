"""What the conformance suite needs of a backend: publish, read as a new member, receive as a new competitor."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from ameide.contracts import topics
from ameide.contracts.ids import new_message_id
from ameide.events.backends.postgres import PostgresFactStream, PostgresIntentQueue
from ameide.events.consumer import Consumer
from ameide.events.outbox import OutboxMessage, append
from ameide.events.parking import redrive
from ameide.events.ports import FactStream, IntentQueue
from ameide.events.relay import Relay
from ameide.events.wakeups import Wakeups
from ameide.storage.db import Database

NAME = "ingress"
TENANT = "acme"


def fact(aggregate: str, version: int, *, payload: bytes = b"fact") -> OutboxMessage:
    """A fact of an aggregate, as the outbox takes it."""
    return OutboxMessage(
        tenant_id=TENANT,
        topic=topics.GOVERNANCE_FACTS,
        kind="fact",
        key=f"{TENANT}:{aggregate}",
        message_id=new_message_id(),
        name="GateOpened",
        aggregate_type="gate",
        aggregate_id=aggregate,
        aggregate_version=version,
        process_instance_id="",
        correlation_id="",
        causation_id="",
        work_request_id="",
        occurred_at=datetime.now(UTC),
        payload=payload,
    )


def intent(work: str, dispatch: int = 1, queue: str = topics.QUEUE_VERIFY) -> OutboxMessage:
    """An execution intent, as the outbox takes it."""
    return OutboxMessage(
        tenant_id=TENANT,
        topic=queue,
        kind="intent",
        key=f"{TENANT}:{work}",
        message_id=new_message_id(),
        name="WorkExecutionRequested",
        aggregate_type="work",
        aggregate_id=work,
        aggregate_version=dispatch,
        process_instance_id="",
        correlation_id="",
        causation_id="",
        work_request_id=work,
        occurred_at=datetime.now(UTC),
        payload=b"intent",
    )


class Carrier(Protocol):
    """One transport under test. Every call of `stream` and `queue` is like a process of its own."""

    async def publish(self, *messages: OutboxMessage) -> None: ...
    def stream(self) -> FactStream: ...
    def consumer(self) -> Consumer: ...
    async def redrive(self, key: str) -> int: ...
    def queue(self) -> IntentQueue: ...
    async def close(self) -> None: ...


class PostgresCarrier:
    """The log and the queue rows."""

    def __init__(self, app: Database, relay: Database, ingress: Database) -> None:
        self._app = app
        self._relay = relay
        self._ingress = ingress
        self._wakeups = Wakeups()

    async def publish(self, *messages: OutboxMessage) -> None:
        """Commit to the outbox and sequence all of it."""
        async with self._app.transaction(TENANT) as tx:
            append(tx, messages)
        relay = Relay(self._relay, self._wakeups)
        while await relay.move():
            pass

    def stream(self) -> FactStream:
        """A new member."""
        return PostgresFactStream(self._ingress, NAME, self._wakeups)

    def consumer(self) -> Consumer:
        """A new member that parks."""
        return Consumer(self.stream(), self._ingress, NAME)

    async def redrive(self, key: str) -> int:
        """Release a parked key."""
        return await redrive(self._ingress, NAME, key)

    def queue(self) -> IntentQueue:
        """A new competitor."""
        return PostgresIntentQueue(self._app)

    async def close(self) -> None:
        """Give the connections back."""
        for db in (self._app, self._relay, self._ingress):
            await db.close()
