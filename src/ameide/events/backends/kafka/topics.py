"""The topics: whether the brokers answer, and that every topic is there before something is published."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, cast

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # pyright: ignore[reportPrivateImportUsage]

from ameide.events.backends.kafka.connection import KafkaConnection, Troubles, made, reason_of, unreachable

ANSWER_SECONDS = 5.0
# What each topic admits, in bytes of a batch: one message of the largest size with its headers, and room to spare.
MOST_BYTES = 1_048_588


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """How a topic is made that is not there. One that is there stays as it is: more partitions would move its keys."""

    partitions: int
    # 0: what the brokers have as a default.
    replication: int
    retention_hours: int

    @property
    def configuration(self) -> dict[str, str]:
        """What is said of each topic when it is made."""
        said = {
            "cleanup.policy": "delete",
            "retention.ms": str(self.retention_hours * 3_600_000),
            "max.message.bytes": str(MOST_BYTES),
            # A replica that lacks messages must not become the one that all believe.
            "unclean.leader.election.enable": "false",
        }
        return said | ({"min.insync.replicas": "2"} if self.replication > 2 else {})


class KafkaTopics:
    """Asks the brokers about topics, and makes them."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._troubles = Troubles()
        options: dict[str, Any] = {**connection.options(), "error_cb": self._troubles.note}
        self._admin = made(lambda: AdminClient(options))

    async def check(self) -> None:
        """Raises Unreachable when no broker answers within five seconds."""
        await asyncio.to_thread(self._known)

    async def missing(self, topics: Sequence[str]) -> list[str]:
        """Those of the topics that are not there. Raises Unreachable."""
        known = await asyncio.to_thread(self._known)
        return [topic for topic in topics if topic not in known]

    async def ensure(self, topics: Sequence[str], settings: TopicSettings) -> list[str]:
        """Make the topics that are not there; returns them. Several may do so at once. Raises Unreachable."""
        missing = await self.missing(topics)
        if missing:
            await asyncio.to_thread(self._make, missing, settings)
        return missing

    def _known(self) -> set[str]:
        try:
            return set(self._admin.list_topics(timeout=ANSWER_SECONDS).topics)
        except KafkaException as error:
            self._admin.poll(0)
            reason = self._troubles.or_else(reason_of(error))
            raise unreachable(reason, "Kafka did not answer") from error

    def _make(self, topics: list[str], settings: TopicSettings) -> None:
        new = [
            NewTopic(topic, settings.partitions, settings.replication or -1, config=settings.configuration)
            for topic in topics
        ]
        make = cast("Callable[..., dict[str, Future[None]]]", self._admin.create_topics)  # pyright: ignore[reportUnknownMemberType]
        asked = make(new, operation_timeout=ANSWER_SECONDS)
        for topic, made_one in asked.items():
            try:
                made_one.result(2 * ANSWER_SECONDS)
            except KafkaException as error:
                reason = reason_of(error)
                if reason.code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise unreachable(reason, f"Kafka did not make the topic {topic}") from error
            except TimeoutError as error:
                # Such as a broker that was away and that its controller does not know again yet.
                raise unreachable(KafkaError(KafkaError._TIMED_OUT), f"Kafka did not make the topic {topic}") from error
