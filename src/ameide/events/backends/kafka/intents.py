"""Intents in Kafka: each queue is a topic with one group of executors, and a partition is one member's at a time.

An invitation is taken, the work is claimed, and the offset is committed once the Domain has answered. Who then works
does not take more, and what lies in its partitions must not wait for it: a member that is not asked leaves its group.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from ameide.contracts.topics import consumer_group
from ameide.errors import Unreachable
from ameide.events.backends.kafka.connection import KafkaConnection
from ameide.events.backends.kafka.member import Fetching, Given, Member
from ameide.events.backends.kafka.records import invitation_of
from ameide.events.ports import Delivery, Invitation
from ameide.telemetry import metrics

log = logging.getLogger(__name__)

# How long a member that nobody asks stays, in seconds: longer than a declined claim takes, shorter than anyone waits.
_LINGER = 0.5
# How often the group is heard while an invitation is long in hand.
_HEARD_EVERY = 0.5
_POLL_SECONDS = 60.0
_FETCHING = Fetching(messages=1, kib=1024)


class _InHand:
    def __init__(self, member: Member, given: Given, invitation: Invitation) -> None:
        self.member = member
        self._given = given
        self._invitation = invitation
        self.acknowledged = False

    @property
    def invitation(self) -> Invitation:
        return self._invitation

    async def acknowledge(self) -> None:
        """See `Delivery.acknowledge`. What cannot be noted is announced to somebody else again, who is declined."""
        self.acknowledged = True
        try:
            await self.member.commit({self._given.partition: (self._given.offset + 1, self._given.assignment)})
        except Unreachable as error:
            log.warning("an invitation comes again", extra={"queue": self._invitation.queue, "error": str(error)})


class KafkaIntentQueue:
    """The queues as one slot of an executor sees them: it takes one invitation at a time.

    `receive` waits up to `wait` seconds, which is shorter than joining a group takes: ask again. An invitation is
    given to another member when this one is silent for `session_seconds`. Members that come or go wait for one in hand
    `held` seconds; later they may see it, too, and are declined.
    """

    def __init__(
        self, connection: KafkaConnection, session_seconds: float = 10.0, *, wait: float = 1.0, held: float = 5.0
    ) -> None:
        self._connection = connection
        self._session = session_seconds
        self._wait = wait
        self._held = held
        self._turn = asyncio.Lock()
        self._members: dict[str, Member] = {}
        self._polls: dict[str, asyncio.Task[None]] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}

    @asynccontextmanager
    async def receive(self, queues: Sequence[str]) -> AsyncGenerator[Delivery | None]:
        """See `IntentQueue.receive`. Raises Unreachable."""
        async with self._turn:
            for queue in queues:
                self._stay(queue)
            try:
                taken = await self._next(queues)
                if taken is None:
                    yield None
                    return
                async with self._heard(taken.member):
                    yield taken
                if not taken.acknowledged:
                    await self._leave(taken.invitation.queue)
            except BaseException:
                # Whatever kept this one from claiming need not keep the others.
                for queue in queues:
                    await self._leave(queue)
                raise
            finally:
                for queue in queues:
                    self._leaving[queue] = asyncio.create_task(self._leave_soon(queue))

    async def close(self) -> None:
        """See `IntentQueue.close`."""
        for queue in list(self._members):
            self._stay(queue)
            await self._leave(queue)

    def _stay(self, queue: str) -> None:
        leaving = self._leaving.pop(queue, None)
        if leaving is not None:
            leaving.cancel()

    async def _leave_soon(self, queue: str) -> None:
        await asyncio.sleep(_LINGER)
        await self._leave(queue)

    async def _leave(self, queue: str) -> None:
        member, poll = self._members.pop(queue, None), self._polls.pop(queue, None)
        if poll is not None:
            poll.cancel()
        if member is not None:
            await member.close()

    def _member(self, queue: str) -> Member:
        if queue not in self._members:
            self._members[queue] = Member(
                self._connection,
                consumer_group(queue),
                [queue],
                session_seconds=self._session,
                poll_seconds=_POLL_SECONDS,
                fetching=_FETCHING,
            )
        return self._members[queue]

    async def _next(self, queues: Sequence[str]) -> _InHand | None:
        """The first invitation that one of the queues has, or None after the wait."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._wait
        while True:
            for queue in queues:
                for given in self._member(queue).take(1):
                    if (taken := await self._opened(queue, given)) is not None:
                        return taken
            if loop.time() >= deadline:
                return None
            # A poll that another queue was quicker than goes on; what it brings is there for the next receiver.
            polls = [self._poll(queue, deadline - loop.time()) for queue in queues]
            await asyncio.wait(polls, timeout=self._wait, return_when=asyncio.FIRST_COMPLETED)
            for poll in polls:
                if poll.done():
                    poll.result()

    def _poll(self, queue: str, seconds: float) -> asyncio.Task[None]:
        poll = self._polls.get(queue)
        if poll is None or poll.done():
            poll = self._polls[queue] = asyncio.create_task(self._member(queue).poll(1, seconds))
        return poll

    async def _opened(self, queue: str, given: Given) -> _InHand | None:
        try:
            return _InHand(self._members[queue], given, invitation_of(given.record))
        except ValueError as error:
            # Nobody could ever read it. The sweeper announces its work again, if it was one.
            log.error(
                "an invitation that cannot be read is passed over",
                extra={
                    "queue": queue,
                    "partition": given.partition.number,
                    "offset": given.offset,
                    "error": str(error),
                },
            )
            metrics.EVENTS_PROCESSED.labels(consumer_group(queue), "undecodable").inc()
            await self._members[queue].commit({given.partition: (given.offset + 1, given.assignment)})
            return None

    @asynccontextmanager
    async def _heard(self, member: Member) -> AsyncGenerator[None]:
        """Take part in the group when the Domain's answer is long in coming: others need not wait for it."""

        async def hear() -> None:
            await asyncio.sleep(self._held)
            while True:
                with contextlib.suppress(Unreachable):
                    await member.poll(0, 0)
                await asyncio.sleep(_HEARD_EVERY)

        hearing = asyncio.create_task(hear())
        try:
            yield
        finally:
            hearing.cancel()
