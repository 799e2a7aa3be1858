"""A member of a consumer group: which partitions are its own for now, what it was given of them, how far it is done.

Partitions come and go while it is polled, and only then. What it was given of a partition counts as long as the
partition stays its own; taken away and given back, the partition begins again at what was last committed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from ameide.events.backends.kafka.connection import KafkaConnection, Troubles, made, reason_of, unreachable
from ameide.events.backends.kafka.own_thread import OwnThread

log = logging.getLogger(__name__)

_DOING = "Kafka did not hand out messages"
_NOT_NOTED = "Kafka did not note what is done"
_PROBE_SECONDS = 2.0
_COMMIT_SECONDS = 4.0
_CLOSE_SECONDS = 10.0
# The library tells of an answer only between two calls, of a message at once.
_SLICE_SECONDS = 0.2
_ANSWER_SLICE_SECONDS = 0.01
# The partition has a new owner, or will have one: who is done with a message of it cannot say so any more.
_LOST = (
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError._ASSIGNMENT_LOST,
    KafkaError._STATE,
)
# What the library gets over by itself; everything else that it reports needs a person.
_PASSING = (
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError._MAX_POLL_EXCEEDED,
    KafkaError._AUTO_OFFSET_RESET,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.REQUEST_TIMED_OUT,
)


class Partition(NamedTuple):
    """One partition of a topic."""

    topic: str
    number: int


@dataclass(frozen=True, slots=True)
class Given:
    """A record, and the assignment under which it was given."""

    record: Message
    partition: Partition
    offset: int
    assignment: int


@dataclass(frozen=True, slots=True)
class Fetching:
    """How much may wait here for being asked for: messages that were given, and KiB that the library has ahead."""

    messages: int
    kib: int


Missing = Callable[[Partition, int, int], None]
"""Hears that a partition goes on at the second offset and not at the first one: what lay between was removed."""


class Member:
    """Joins the group when it is first polled, and leaves it with `close`.

    Silent for `session_seconds`, or not polled for `poll_seconds`, it loses its partitions to others.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        group: str,
        topics: Sequence[str],
        *,
        session_seconds: float,
        poll_seconds: float,
        fetching: Fetching,
        missing: Missing | None = None,
    ) -> None:
        self._group = group
        self._most = fetching.messages
        self._missing = missing
        self._troubles = Troubles()
        self._topics = list(topics)
        self._options: dict[str, Any] = {
            **connection.options(),
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            # All of them stop while partitions change hands, which is over the sooner; works are begun, not done here.
            "partition.assignment.strategy": "range",
            "session.timeout.ms": int(session_seconds * 1000),
            "heartbeat.interval.ms": int(min(1.0, session_seconds / 6) * 1000),
            "max.poll.interval.ms": int(max(session_seconds, poll_seconds) * 1000),
            "queued.min.messages": fetching.messages,
            "queued.max.messages.kbytes": fetching.kib,
            # A topic that is made later is found after so long.
            "topic.metadata.refresh.interval.ms": 5_000,
            "error_cb": self._troubles.note,
            "on_commit": self._committed,
        }
        self._thread = OwnThread(f"kafka-{group}")
        self._closed = False
        self._consumer: Consumer | None = None
        self._given: deque[Given] = deque()
        self._assigned: dict[Partition, int] = {}
        self._assignments = 0
        # The next offset of each partition, as far as it is known.
        self._next: dict[Partition, int] = {}
        # None: unknown, since partitions came or went.
        self._paused: bool | None = False
        self._commit: tuple[KafkaError | None, list[TopicPartition]] | None = None
        self._refused: KafkaError | None = None

    @property
    def assigned(self) -> bool:
        """Whether it has partitions, as of the last poll."""
        return bool(self._assigned)

    @property
    def waiting(self) -> int:
        """How much was given and not taken."""
        return len(self._given)

    def holds(self, given: Given) -> bool:
        """Whether the record's partition has stayed this member's own."""
        return self._assigned.get(given.partition) == given.assignment

    async def poll(self, most: int, seconds: float) -> None:
        """Take part in the group; wait until something is given, a partition comes or goes, or the time is over.

        `take` has what was given. Raises Unreachable when brokers do not answer, or refuse topic or group.
        """
        try:
            await self._thread.run(lambda: self._poll(most, seconds))
        except KafkaException as error:
            raise unreachable(reason_of(error), _DOING) from error

    def take(self, most: int) -> list[Given]:
        """What was given and not taken yet, oldest first of each partition."""
        taken: list[Given] = []
        while len(taken) < most and self._given:
            given = self._given.popleft()
            if self.holds(given):
                taken.append(given)
        return taken

    async def commit(self, done: Mapping[Partition, tuple[int, int]]) -> bool:
        """By partition: the first offset that is not done, and the assignment under which it was given.

        False when a partition was lost: its new owner is given again what was not committed. Raises Unreachable.
        """
        try:
            return await self._thread.run(lambda: self._commit_now(done))
        except KafkaException as error:
            raise unreachable(reason_of(error), _NOT_NOTED) from error

    async def close(self) -> None:
        """Leave the group, so that others get its partitions at once. It is asked no more."""
        if self._closed:
            return
        self._closed = True
        closing = self._thread.run(self._close)
        self._thread.end()
        # A broker that does not answer notices by itself.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await asyncio.shield(closing)

    # From here on everything runs on the thread of its own.

    def _poll(self, most: int, seconds: float) -> None:
        consumer = self._joined()
        self._check(consumer)
        before, deadline = self._assignments, time.monotonic() + seconds
        while True:
            self._bound(consumer)
            record = consumer.poll(max(0.0, min(_SLICE_SECONDS, deadline - time.monotonic())))
            if record is not None:
                self._receive(record)
                if len(self._given) < most:
                    for more in consumer.consume(most - len(self._given), 0):
                        self._receive(more)
            if self._given or self._assignments != before or self._troubles.down or time.monotonic() >= deadline:
                return

    def _joined(self) -> Consumer:
        if self._consumer is None:
            self._consumer = made(lambda: Consumer(self._options))
            self._consumer.subscribe(
                self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
            )
        return self._consumer

    def _check(self, consumer: Consumer) -> None:
        refused, self._refused = self._refused, None
        if refused is not None:
            raise unreachable(refused, _DOING)
        if self._troubles.down:
            # The library tries on by itself and does not tell when it succeeds.
            try:
                consumer.list_topics(self._topics[0], timeout=_PROBE_SECONDS)
            except KafkaException as error:
                raise unreachable(self._troubles.or_else(reason_of(error)), _DOING) from error
            self._troubles.down = False

    def _bound(self, consumer: Consumer) -> None:
        """Have no more given than may wait here: the group is to be heard, whatever lies in its topics."""
        full = len(self._given) >= self._most
        if full != self._paused:
            own = [TopicPartition(*partition) for partition in self._assigned]
            (consumer.pause if full else consumer.resume)(own)
            self._paused = full

    def _receive(self, record: Message) -> None:
        error = record.error()
        topic, number, offset = record.topic(), record.partition(), record.offset()
        if error is not None:
            if error.code() not in _PASSING:
                self._refused = error
            else:
                log.warning("trouble of a consumer group", extra={"group": self._group, "error": error.str()})
        elif topic is not None and number is not None and offset is not None:
            partition = Partition(topic, number)
            assignment = self._assigned.get(partition)
            if assignment is not None:
                expected, self._next[partition] = self._next.get(partition, offset), offset + 1
                if offset > expected and self._missing is not None:
                    self._missing(partition, expected, offset)
                self._given.append(Given(record, partition, offset, assignment))

    def _commit_now(self, done: Mapping[Partition, tuple[int, int]]) -> bool:
        consumer = self._consumer
        own = [
            TopicPartition(partition.topic, partition.number, offset)
            for partition, (offset, assignment) in done.items()
            if self._assigned.get(partition) == assignment
        ]
        if consumer is None or not own:
            return not done
        self._commit, deadline = None, time.monotonic() + _COMMIT_SECONDS
        # The call that waits for the answer waits for ever when no broker is there.
        try:
            consumer.commit(offsets=own, asynchronous=True)
        except KafkaException as error:
            return self._lost(reason_of(error))
        while (answered := self._answered()) is None:
            if time.monotonic() > deadline:
                silent = self._troubles.or_else(KafkaError(KafkaError._TIMED_OUT))
                raise unreachable(silent, _NOT_NOTED)
            self._bound(consumer)
            record = consumer.poll(_ANSWER_SLICE_SECONDS)
            if record is not None:
                self._receive(record)
        errors = [answered[0], *(partition.error for partition in answered[1])]
        wrong = next((error for error in errors if error), None)
        return len(own) == len(done) if wrong is None else self._lost(wrong)

    def _answered(self) -> tuple[KafkaError | None, list[TopicPartition]] | None:
        return self._commit

    def _lost(self, error: KafkaError) -> bool:
        if error.code() not in _LOST:
            raise unreachable(error, _NOT_NOTED)
        log.info("partitions went to another member", extra={"group": self._group, "error": error.str()})
        return False

    def _close(self) -> None:
        consumer, self._consumer = self._consumer, None
        self._given.clear()
        if consumer is not None:
            consumer.close()

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._moved()
        self._assigned |= {Partition(one.topic, one.partition): self._assignments for one in partitions}
        # Where each goes on. Unanswered, it is not known whether something is missing, and nothing else depends on it.
        with contextlib.suppress(KafkaException):
            for one in consumer.committed(partitions, timeout=_PROBE_SECONDS):
                if one.offset >= 0 and not one.error:
                    self._next[Partition(one.topic, one.partition)] = one.offset

    def _on_revoke(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._moved()
        for one in partitions:
            self._assigned.pop(Partition(one.topic, one.partition), None)
            self._next.pop(Partition(one.topic, one.partition), None)

    def _moved(self) -> None:
        self._assignments += 1
        self._paused = None

    def _committed(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        self._commit = (error, partitions)
