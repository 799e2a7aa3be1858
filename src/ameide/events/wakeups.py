"""Wake-ups: nobody waits for a poll, nobody depends on a bell.

Inside a process an asyncio event rings. Between processes a notifier sends at most one NOTIFY per channel every 10 ms,
on a connection of its own, never inside a business transaction (that would serialise commits). A lost notification
costs one poll: every waiter polls as well, with jitter.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Generator
from contextlib import contextmanager
from typing import Literal

from ameide.errors import Unreachable
from ameide.storage.listen import Line

Channel = Literal["outbox", "log", "queue", "view"]
CHANNELS: tuple[Channel, ...] = ("outbox", "log", "queue", "view")
COALESCE_SECONDS = 0.01
PROBE_SECONDS = 15.0
RECONNECT_SECONDS = 1.0
_PREFIX = "ameide_"
log = logging.getLogger(__name__)


class Bell:
    """One waiter's memory of whether it was rung: a ring between two waits is not lost."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake the waiter, now or when it next waits."""
        self._rung.set()

    async def wait(self, seconds: float) -> bool:
        """Until rung, or about `seconds` (a quarter more or less: waiters must not march in step); True when rung."""
        try:
            # Spreads load and guards nothing.
            jitter = random.uniform(0.75, 1.25)  # noqa: S311
            # Not by `wait_for`, which forgets a cancellation that comes together with a ring (until Python 3.12).
            async with asyncio.timeout(seconds * jitter):
                await self._rung.wait()
        except TimeoutError:
            return False
        self._rung.clear()
        return True


class Wakeups:
    """The bells of one process."""

    def __init__(self) -> None:
        self._bells: dict[Channel, set[Bell]] = {channel: set() for channel in CHANNELS}
        self._all: set[Bell] = set()
        self._rings: dict[Channel, int] = dict.fromkeys(CHANNELS, 0)
        self._outgoing: set[Channel] = set()
        self._closing = False
        self._pending = Bell()

    def ring(self, channel: Channel) -> None:
        """Something was committed: wake everybody here, and have the other processes told. Call it after the commit."""
        self.ring_here(channel)
        self._outgoing.add(channel)
        self._pending.ring()

    def ring_here(self, channel: Channel) -> None:
        """Wake the waiters of this process only."""
        self._rings[channel] += 1
        for bell in self._bells[channel]:
            bell.ring()

    def rings(self, channel: Channel) -> int:
        """How often it has rung here: whether it did since a look is told by the number."""
        return self._rings[channel]

    @property
    def closing(self) -> bool:
        """Whether the process is ending: loops end after what they are doing, and nobody waits for more."""
        return self._closing

    def close(self) -> None:
        """The last ring: wake everybody, once, to see that the process is ending."""
        self._closing = True
        for bell in self._all:
            bell.ring()

    def subscribe(self, *channels: Channel) -> Bell:
        """A bell that rings for these channels, and when the process is closing, as long as the process lives."""
        bell = Bell()
        self._all.add(bell)
        if self._closing:
            bell.ring()
        for channel in channels:
            self._bells[channel].add(bell)
        return bell

    @contextmanager
    def bell(self, *channels: Channel) -> Generator[Bell]:
        """The same for a while. Take it before looking at the state that you would wait for."""
        bell = self.subscribe(*channels)
        try:
            yield bell
        finally:
            self._all.discard(bell)
            for channel in channels:
                self._bells[channel].discard(bell)

    async def connect(self, dsn: str) -> None:
        """Exchange wake-ups with other processes for ever; after each (re)connection everything here is rung once."""
        while True:
            try:
                async with await Line.open(dsn) as speaking, await Line.open(dsn) as listening:
                    await listening.listen([_PREFIX + channel for channel in CHANNELS])
                    for channel in CHANNELS:
                        self.ring_here(channel)
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(self._tell(speaking))
                        tasks.create_task(self._hear(listening, speaking.pid))
            except* Unreachable as lost:
                log.warning("wake-ups fall back to polling", extra={"error": str(lost.exceptions[0])})
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _tell(self, line: Line) -> None:
        while True:
            await self._pending.wait(PROBE_SECONDS)
            await asyncio.sleep(COALESCE_SECONDS)
            channels, self._outgoing = self._outgoing, set()
            if channels:
                await line.notify([_PREFIX + channel for channel in sorted(channels)])

    async def _hear(self, line: Line, own: int) -> None:
        while True:
            heard = await line.heard(PROBE_SECONDS)
            for channel in CHANNELS:
                if any(name == _PREFIX + channel and sender != own for name, sender in heard):
                    self.ring_here(channel)
            if not heard:
                await line.probe()
