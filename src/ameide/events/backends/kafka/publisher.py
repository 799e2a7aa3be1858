"""The publisher: messages go to their topics in order per key, and each is answered for once all replicas have it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from ameide.errors import AmeideError, Refused, Unreachable
from ameide.events.backends.kafka.connection import KafkaConnection, Troubles, made, reason_of, unreachable
from ameide.events.backends.kafka.own_thread import OwnThread
from ameide.events.backends.kafka.records import headers
from ameide.events.messages import LoggedMessage

# Of a message with its headers, in bytes; the topics that we make admit as much.
MOST_BYTES = 1_000_000
_BATCH_BYTES = 250_000
_POLL_SECONDS = 0.1
_DOING = "Kafka did not take a message"
Reports = dict[int, KafkaError | None]


class Publisher:
    """Publishes messages of the log. One call at a time; `patience` is how many seconds a call waits for the brokers.

    A call that runs out of patience forgets what it has not heard of: the caller publishes it again, in order, so a
    message may come twice and none is lost. The client library never sends a message before an earlier one of its
    key, as it would after giving up on the earlier one alone.
    """

    def __init__(self, connection: KafkaConnection, *, patience: float = 10.0) -> None:
        self._connection = connection
        self._patience = patience
        self._producer: Producer | None = None
        self._thread = OwnThread("kafka-publisher")
        self._troubles = Troubles()

    async def publish(self, messages: Sequence[LoggedMessage]) -> list[AmeideError | None]:
        """One answer for each message: None once it is there, Refused when the brokers will never take it, Unreachable
        to be tried again. What follows a refused message of its key in the same call is not sent and Refused too."""
        return await self._thread.run(lambda: self._publish(list(messages)))

    async def close(self) -> None:
        """Give the connections up. What was not answered for may arrive or not."""
        forgotten = self._thread.run(self._forget)
        self._thread.end()
        await forgotten

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _publish(self, messages: list[LoggedMessage]) -> list[AmeideError | None]:
        deadline = time.monotonic() + self._patience
        reports = self._send(messages, deadline)
        self._single_out(messages, reports, deadline)
        answers, stuck = list[AmeideError | None](), set[str]()
        for message in messages:
            answers.append(self._answer(message, reports, behind=message.key in stuck))
            if isinstance(answers[-1], Refused):
                stuck.add(message.key)
        if any(isinstance(answer, Unreachable) for answer in answers):
            self._forget()
        return answers

    def _single_out(self, messages: list[LoggedMessage], reports: Reports, deadline: float) -> None:
        """Brokers that admit less than we do refuse a batch for one message in it. Which, is seen by sending one by
        one, from the first refused of a key on, since later ones of the key may have arrived."""
        suspect, refused = set[str](), set[str]()
        for message in messages:
            if message.key not in refused and _too_large(reports.get(message.position)):
                suspect.add(message.key)
            if message.key in suspect:
                reports.pop(message.position, None)
                if message.key not in refused:
                    reports |= self._send([message], deadline)
                    if _too_large(reports.get(message.position)):
                        refused.add(message.key)

    def _answer(self, message: LoggedMessage, reports: Reports, *, behind: bool) -> AmeideError | None:
        if behind:
            return Refused("an earlier message of its key was refused", reason="BEHIND_REFUSED")
        if message.position not in reports:
            return unreachable(self._troubles.or_else(KafkaError(KafkaError._TIMED_OUT)), _DOING)
        error = reports[message.position]
        if error is None:
            return None
        if _too_large(error):
            return Refused(
                f"the message has {len(message.payload)} bytes, more than {message.topic} takes",
                remedy="Have the topic and the brokers take more (max.message.bytes), then redrive its key",
                reason="MESSAGE_TOO_LARGE",
            )
        return unreachable(error, _DOING)

    def _send(self, messages: list[LoggedMessage], deadline: float) -> Reports:
        """What was heard of these messages by the deadline."""
        reports: Reports = {}
        waiting, refused = set[int](), set[str]()
        producer = self._producer = self._producer or made(lambda: Producer(self.options()))
        for message in messages:
            if message.key in refused:
                continue

            def heard(error: KafkaError | None, _: Message, position: int = message.position) -> None:
                waiting.discard(position)
                reports[position] = error

            error = self._hand_over(producer, message, heard, deadline)
            if error is None:
                waiting.add(message.position)
            elif _too_large(error):
                reports[message.position] = error
                refused.add(message.key)
            else:
                reports[message.position] = error
                break
        while waiting and time.monotonic() < deadline and self._hear(producer):
            pass
        return reports

    def _hear(self, producer: Producer) -> bool:
        """Let reports come in; False when this producer will do nothing any more, e.g. without the right to write."""
        try:
            producer.poll(_POLL_SECONDS)
        except KafkaException as error:
            self._troubles.note(reason_of(error))
            return False
        return True

    def _hand_over(
        self,
        producer: Producer,
        message: LoggedMessage,
        heard: Callable[[KafkaError | None, Message], None],
        deadline: float,
    ) -> KafkaError | None:
        while True:
            try:
                producer.produce(
                    message.topic,
                    key=message.key.encode(),
                    value=message.payload,
                    headers=headers(message),
                    timestamp=int(message.occurred_at.timestamp() * 1000),
                    on_delivery=heard,
                )
            except BufferError:
                # The library holds as much as it may; what it sends makes room.
                if time.monotonic() > deadline or not self._hear(producer):
                    return KafkaError(KafkaError._QUEUE_FULL)
            except KafkaException as error:
                return reason_of(error)
            else:
                return None

    def _forget(self) -> None:
        producer, self._producer, self._troubles = self._producer, None, Troubles()
        if producer is not None:
            producer.purge()
            producer.close()

    def options(self) -> dict[str, Any]:
        """What the client library takes. It holds the secrets of the connection."""
        return {
            **self._connection.options(),
            "enable.idempotence": True,
            "acks": "all",
            # Never given up by the library: see above.
            "message.timeout.ms": 0,
            "message.max.bytes": MOST_BYTES,
            "batch.size": _BATCH_BYTES,
            "linger.ms": 5,
            "compression.type": "lz4",
            # The one that other clients of Kafka use, so that a key has one partition whoever writes.
            "partitioner": "murmur2_random",
            # How long a topic may be unknown that was made a moment ago.
            "topic.metadata.propagation.max.ms": 5_000,
            "error_cb": self._troubles.note,
        }


def _too_large(error: KafkaError | None) -> bool:
    return error is not None and error.code() in (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE)
