"""What the conformance suite needs of a backend: publish, read as a new member, receive as a new competitor."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any, Protocol

from confluent_kafka import Producer

from ameide.contracts import topics
from ameide.contracts.ids import new_message_id
from ameide.events.backends.kafka.connection import KafkaConnection
from ameide.events.backends.kafka.facts import KafkaFactStream
from ameide.events.backends.kafka.intents import KafkaIntentQueue
from ameide.events.backends.kafka.publisher import Publisher
from ameide.events.backends.kafka.topics import KafkaTopics, TopicSettings
from ameide.events.backends.postgres import PostgresFactStream, PostgresIntentQueue
from ameide.events.consumer import Consumer
from ameide.events.messages import COLUMNS, LoggedMessage
from ameide.events.outbox import OutboxMessage, append
from ameide.events.parking import redrive
from ameide.events.ports import FactStream, IntentQueue
from ameide.events.relay import Relay
from ameide.events.wakeups import Wakeups
from ameide.storage.db import Database
from tests.engines.kafka.broker import KafkaBroker

NAME = "ingress"
TENANT = "acme"
# Seconds after which a silent member is given up.
SESSION = 6.0


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

    @property
    def exclusive(self) -> bool:
        """Whether one member at a time is active for all keys, and an invitation replaces an earlier one."""
        ...

    def name(self, topic: str) -> str:
        """What a topic is called here."""
        ...

    async def publish(self, *messages: OutboxMessage) -> None: ...
    async def garble(self, topic: str, key: str) -> None:
        """Write something that is no message where messages of the key go, if anyone can."""
        ...

    def stream(self) -> FactStream: ...
    def consumer(self) -> Consumer: ...
    async def redrive(self, key: str) -> int: ...
    def queue(self) -> IntentQueue: ...
    async def restart(self) -> None:
        """The server goes away without a word and comes back."""
        ...

    async def close(self) -> None: ...


class PostgresCarrier:
    """The log and the queue rows."""

    exclusive = True

    def __init__(
        self, app: Database, relay: Database, ingress: Database, end_sessions: Callable[[], Awaitable[None]]
    ) -> None:
        self._app = app
        self._end_sessions = end_sessions
        self._relay = relay
        self._ingress = ingress
        self._wakeups = Wakeups()

    def name(self, topic: str) -> str:
        """As the contracts have it."""
        return topic

    async def garble(self, topic: str, key: str) -> None:
        """The columns of the log admit messages alone."""

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

    async def restart(self) -> None:
        """All sessions are ended, as by a server that is killed."""
        await self._end_sessions()

    async def close(self) -> None:
        """Give the connections back."""
        for db in (self._app, self._relay, self._ingress):
            await db.close()


class KafkaCarrier:
    """Topics of a real broker, named for one test, as a forwarder fills them. What is set aside is in PostgreSQL."""

    exclusive = False

    def __init__(self, broker: KafkaBroker, ingress: Database, suffix: str) -> None:
        self.connection = KafkaConnection(broker.brokers)
        self._broker = broker
        self._ingress = ingress
        self._suffix = suffix
        self._publisher = Publisher(self.connection)
        self._positions = count(1)
        self._opened: list[FactStream | IntentQueue] = []

    async def prepare(self) -> None:
        """Make the topics."""
        topics_here = [self.name(topic) for topic in (*topics.FACT_TOPICS, topics.QUEUE_VERIFY, topics.QUEUE_CODER)]
        await KafkaTopics(self.connection).ensure(topics_here, TopicSettings(3, 1, 1))

    def name(self, topic: str) -> str:
        """One test's own."""
        return f"{topic}.{self._suffix}"

    async def publish(self, *messages: OutboxMessage) -> None:
        """As the forwarder does it, until the broker has all of it."""
        logged = [
            LoggedMessage(
                position=next(self._positions), **columns_of(replace(message, topic=self.name(message.topic)))
            )
            for message in messages
        ]
        while any(await self._publisher.publish(logged)):
            pass

    async def garble(self, topic: str, key: str) -> None:
        """A record without a header, and one whose header is no number."""
        producer = Producer(self.connection.options())
        wrong: list[dict[str, str | bytes | None]] = [{}, {"tenant_id": "acme", "log_position": "?", "kind": b"\xff"}]
        for headers in wrong:
            producer.produce(self.name(topic), key=key.encode(), value=b"no message", headers=headers)
        assert await asyncio.to_thread(producer.flush, 10) == 0

    def stream(self) -> FactStream:
        """A new member."""
        here = [self.name(topic) for topic in topics.FACT_TOPICS]
        made = KafkaFactStream(self.connection, f"{NAME}-{self._suffix}", here, session_seconds=SESSION)
        self._opened.append(made)
        return made

    def consumer(self) -> Consumer:
        """A new member that parks."""
        return Consumer(self.stream(), self._ingress, NAME)

    async def redrive(self, key: str) -> int:
        """Release a parked key."""
        return await redrive(self._ingress, NAME, key)

    def queue(self) -> IntentQueue:
        """A new competitor."""
        made = KafkaIntentQueue(self.connection, SESSION)
        self._opened.append(made)
        return made

    async def restart(self) -> None:
        """Killed, and started on the same data."""
        self._broker.kill()
        await asyncio.to_thread(self._broker.start)

    async def close(self) -> None:
        """Leave all groups."""
        await self._publisher.close()
        for opened in self._opened:
            await opened.close()
        await self._ingress.close()


def columns_of(message: OutboxMessage) -> dict[str, Any]:
    """Its columns by name."""
    return {name: getattr(message, name) for name in COLUMNS}
