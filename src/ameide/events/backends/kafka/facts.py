"""Facts in Kafka: a consumer is a group; each member has partitions of its own, in which each key is in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence

from ameide.contracts.topics import FACT_TOPICS
from ameide.errors import Refused, Unreachable
from ameide.events.backends.kafka.connection import KafkaConnection
from ameide.events.backends.kafka.member import Fetching, Given, Member, Partition
from ameide.events.backends.kafka.records import message_of
from ameide.events.messages import LoggedMessage
from ameide.faults import reach
from ameide.telemetry import metrics

log = logging.getLogger(__name__)

_FETCHING = Fetching(messages=500, kib=16 * 1024)
Attest = Callable[[Sequence[LoggedMessage]], Awaitable[Collection[LoggedMessage]]]
"""Answers those of the messages that are to be believed. Raises Unreachable; then it is asked again."""


class _Held:
    """A fact that was fetched, and whether it had its effect."""

    def __init__(self, given: Given, message: LoggedMessage | None) -> None:
        self.given = given
        # None when it cannot be read.
        self.message = message
        self.handed_out = False
        self.attested = False
        self.done = message is None

    def pass_over(self) -> None:
        self.message, self.done = None, True


class KafkaFactStream:
    """One member of a group of consumers. It is active while it has partitions, and stands by while it has none.

    A batch is in order of the log. What was written twice comes twice, at the same position. `release` notes what was
    acknowledged; the partitions stay this member's until it is closed, is silent for `session_seconds`, or takes longer
    than `poll_seconds` over one batch. Members that come or go wait for the batches in hand so long.

    Whoever may write to a topic could say anything there. With `attest` only what it knows is handed out.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        group: str,
        topics: Sequence[str] = FACT_TOPICS,
        *,
        session_seconds: float = 10.0,
        poll_seconds: float = 30.0,
        attest: Attest | None = None,
    ) -> None:
        self._group = group
        self._attest = attest
        self._member = Member(
            connection,
            group,
            topics,
            session_seconds=session_seconds,
            poll_seconds=poll_seconds,
            fetching=_FETCHING,
            missing=self._missed,
        )
        self._active = False
        # In the order of each partition, from the first that is not done on.
        self._held: list[_Held] = []
        # By partition: the first offset that is not done, to be noted.
        self._done: dict[Partition, tuple[int, int]] = {}

    @property
    def waiting(self) -> int:
        """Facts that are here and not done: bounded, however many the topics hold."""
        return len(self._held) + self._member.waiting

    async def activate(self) -> bool:
        """See `FactStream.activate`."""
        await self.release()
        await self._member.poll(1, 0)
        self._forget_lost()
        for held in self._held:
            held.handed_out = False
        self._active = self._member.assigned
        return self._active

    async def fetch(self, limit: int) -> list[LoggedMessage]:
        """See `FactStream.fetch`."""
        self._need_active()
        waiting = [held for held in self._held if not held.done]
        if len(waiting) < limit:
            await self._member.poll(limit - len(waiting), 0)
            self._forget_lost()
            self._held += [self._opened(given) for given in self._member.take(limit - len(waiting))]
        await self._pass_over_what_is_made_up()
        ready = [held for held in self._held if not held.done and held.message is not None]
        batch: dict[int, LoggedMessage] = {}
        for held in sorted(ready, key=_position):
            if held.message is not None and (len(batch) < limit or held.message.position in batch):
                held.handed_out = True
                batch.setdefault(held.message.position, held.message)
        return list(batch.values())

    async def acknowledge(self, position: int) -> None:
        """See `FactStream.acknowledge`. Of a partition that was lost meanwhile nothing is noted."""
        self._need_active()
        for held in self._held:
            if held.handed_out and _position(held) <= position:
                held.done = True

    async def wait(self, seconds: float) -> None:
        """See `FactStream.wait`."""
        until = asyncio.get_running_loop().time() + seconds
        try:
            await self._member.poll(1, seconds)
        except Unreachable:
            # The next activation says so.
            await asyncio.sleep(until - asyncio.get_running_loop().time())

    async def release(self) -> None:
        """See `FactStream.release`. Raises Unreachable; what was acknowledged is then noted the next time."""
        self._active = False
        self._settle()
        if self._done:
            done = self._done
            reach("ingress.offsets.before")
            await self._member.commit(done)
            reach("ingress.offsets.after")
            self._done = {}

    async def close(self) -> None:
        """See `FactStream.close`."""
        try:
            await self.release()
        except Unreachable as error:
            log.warning("what is done comes again", extra={"group": self._group, "error": str(error)})
        await self._member.close()

    def _need_active(self) -> None:
        if not self._active:
            raise Refused("the stream is not active", remedy="Call activate first; its partitions may have been lost")

    def _opened(self, given: Given) -> _Held:
        try:
            return _Held(given, message_of(given.record))
        except ValueError as error:
            # It is in the log all the same, if it ever was a fact; nobody could say whose key to hold up for it.
            log.error(
                "a record that is no message is passed over",
                extra={
                    "topic": given.partition.topic,
                    "partition": given.partition.number,
                    "offset": given.offset,
                    "error": str(error),
                },
            )
            metrics.EVENTS_PROCESSED.labels(self._group, "undecodable").inc()
            return _Held(given, None)

    async def _pass_over_what_is_made_up(self) -> None:
        asked = [held for held in self._held if held.message is not None and not held.attested]
        if self._attest is None or not asked:
            return
        known = await self._attest([held.message for held in asked if held.message is not None])
        made_up = [held for held in asked if held.message not in known]
        for held in asked:
            held.attested = True
        for held in made_up:
            held.pass_over()
        if made_up:
            first = made_up[0].given
            log.error(
                "records that the log does not have are passed over: a forwarder did not write them, or long ago",
                extra={
                    "records": len(made_up),
                    "topic": first.partition.topic,
                    "partition": first.partition.number,
                    "offset": first.offset,
                },
            )
            metrics.EVENTS_PROCESSED.labels(self._group, "not_in_log").inc(len(made_up))

    def _missed(self, partition: Partition, expected: int, found: int) -> None:
        log.error(
            "facts left the topic before they were read: the consumer was away for longer than the topic keeps them. "
            "The log has them: start it with AMEIDE_FACTS_TRANSPORT=postgres before its place there follows the group",
            extra={"topic": partition.topic, "partition": partition.number, "facts": found - expected},
        )
        metrics.EVENTS_PROCESSED.labels(self._group, "missed").inc(found - expected)

    def _forget_lost(self) -> None:
        self._held = [held for held in self._held if self._member.holds(held.given)]

    def _settle(self) -> None:
        """Take off what is done at the front of each partition: later facts that are done wait for the earlier."""
        unsettled: set[Partition] = set()
        kept: list[_Held] = []
        for held in self._held:
            partition = held.given.partition
            if held.done and partition not in unsettled:
                self._done[partition] = (held.given.offset + 1, held.given.assignment)
            else:
                unsettled.add(partition)
                kept.append(held)
        self._held = kept


def _position(held: _Held) -> int:
    return held.message.position if held.message else 0
