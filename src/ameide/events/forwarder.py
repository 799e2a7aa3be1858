"""The forwarder gives the log to Kafka: in its order, and its place follows the delivery reports (contracts 8).

What the broker will never take is set aside with the later messages of its key; a broker that does not answer is waited
for. A message whose report did not come is sent again, so Kafka may have a message twice, and never lacks one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from itertools import takewhile

from ameide.errors import AmeideError, Internal, Unreachable
from ameide.events.carriage import FORWARDER, carried
from ameide.events.consumer import Consumer
from ameide.events.messages import LoggedMessage
from ameide.events.ports import Publisher
from ameide.events.wakeups import Wakeups
from ameide.faults import reach
from ameide.storage.db import Database
from ameide.telemetry import metrics

# Each batch waits for its reports, whose time is the same for many as for few.
BATCH = 4000
POLL_SECONDS = 1.0
RETRY_SECONDS = 2.0
LARGE = 64 * 1024
"""Bytes of a payload from which on a message travels alone: what the broker then refuses is itself, and nothing of its
key is behind it. All others are far below what any topic takes."""
log = logging.getLogger(__name__)


class Forwarder:
    """Any number may run; the one that gets the place in the log forwards. `db` is the role's of the consumer.

    `topics` are those that go by Kafka. While the database names others, this one stands by: it was started with
    settings that are not the newest. `prepare` makes the topics; it is called until it succeeds.
    """

    def __init__(
        self,
        source: Consumer,
        db: Database,
        publisher: Publisher,
        topics: Collection[str],
        wakeups: Wakeups,
        *,
        prepare: Callable[[], Awaitable[object]],
        batch: int = BATCH,
    ) -> None:
        self._source = source
        self._db = db
        self._publisher = publisher
        self._topics = frozenset(topics)
        self._wakeups = wakeups
        self._prepare = prepare
        self._prepared = False
        self._batch = batch

    async def run(self) -> None:
        """Forward until the process is closing; broker and database are waited for."""
        while not self._wakeups.closing:
            try:
                if await self.step() < self._batch:
                    await self._source.wait(POLL_SECONDS)
            except (Unreachable, Internal) as error:
                log.warning("the forwarder waits: %s", error)
                self._source.hindered(str(error))
                await self._source.wait(RETRY_SECONDS)

    async def step(self) -> int:
        """Forward one batch; returns its size, 0 when there is nothing or another replica is at it.

        Raises Unreachable when a report did not come: what lies before that message is done.
        """
        batch = await self._source.next_batch(self._batch)
        try:
            if not self._prepared:
                await self._prepare()
                self._prepared = True
            # Also without a batch: settings by which nothing is forwarded leave no place to get one from.
            if not await self._is_current():
                return 0
            if not batch:
                self._source.hindered("")
                return 0
            begun = time.perf_counter()
            done, missing = await self._forward(batch)
            await self._acknowledge(batch, done)
        finally:
            await self._source.release()
        if missing is not None:
            raise missing
        metrics.EVENT_PROCESSING.labels(FORWARDER).observe(time.perf_counter() - begun)
        _count("skipped", sum(message.topic not in self._topics for message in batch))
        self._source.hindered("")
        return len(batch)

    async def _is_current(self) -> bool:
        # The place is ours meanwhile, and whoever changes what goes by Kafka takes it.
        async with self._db.transaction(None) as tx:
            theirs = await carried(tx)
        if theirs == self._topics:
            return True
        named = ", ".join(sorted(theirs ^ self._topics))
        self._source.hindered(f"its settings differ from those that a newer process was started with, in {named}")
        return False

    async def _forward(self, batch: Sequence[LoggedMessage]) -> tuple[set[int], AmeideError | None]:
        """The positions that need nothing more, and why others do."""
        done: set[int] = set()
        together: list[LoggedMessage] = []
        for message in batch:
            if message.topic not in self._topics:
                done.add(message.position)
                continue
            if len(message.payload) < LARGE and not self._source.is_parked(message.key):
                together.append(message)
                continue
            missing, together = await self._send(together, done), []
            if missing is None and self._source.is_parked(message.key):
                await self._park(message, "behind an earlier one")
                done.add(message.position)
            elif missing is None:
                missing = await self._send([message], done)
            if missing is not None:
                return done, missing
        return done, await self._send(together, done)

    async def _send(self, messages: Sequence[LoggedMessage], done: set[int]) -> AmeideError | None:
        if not messages:
            return None
        missing: AmeideError | None = None
        answers = await self._publish(messages)
        _count("forwarded", sum(answer is None for answer in answers))
        for message, error in zip(messages, answers, strict=True):
            if isinstance(error, Unreachable):
                missing = missing or error
                continue
            if error is not None:
                await self._park(message, str(error))
            done.add(message.position)
        return missing

    async def _park(self, message: LoggedMessage, error: str) -> None:
        if not self._source.is_parked(message.key):
            log.error("parked %s of %s: %s", message.name, message.key, error, extra={"position": message.position})
        await self._source.park(message, message.key, error)
        _count("parked", 1)

    async def _publish(self, messages: Sequence[LoggedMessage]) -> Sequence[AmeideError | None]:
        reach("forwarder.publish.before")
        answers = await self._publisher.publish(messages)
        reach("forwarder.publish.after")
        return answers

    async def _acknowledge(self, batch: Sequence[LoggedMessage], done: Collection[int]) -> None:
        """Everything up to the first message that is missing."""
        first = list(takewhile(lambda message: message.position in done, batch))
        for message in _each_of(first):
            await self._source.acknowledge(message.position)


def _each_of(done: Sequence[LoggedMessage]) -> Iterable[LoggedMessage]:
    """Released messages are acknowledged each, all others by the last of them."""
    return (message for message in done if message.redriven or message is done[-1])


def _count(outcome: str, number: int) -> None:
    if number:
        metrics.EVENTS_PROCESSED.labels(FORWARDER, outcome).inc(number)
