"""One claim's lease as its holder sees it: counted from when the call was sent, on this machine's clock alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from ameide.errors import Fenced
from ameide.infra.clock import now


class Lease:
    """Held until `deadline` unless extended in time; once lost it stays lost. `clock` gives seconds."""

    def __init__(self, sent_at: float, seconds: float, clock: Callable[[], float] = now) -> None:
        self._clock = clock
        self._deadline = sent_at + seconds
        self._lost = ""
        self._ended = asyncio.Event()
        self.pace = max(0.5, self._deadline - clock())
        """Seconds that a lease lasts from when it is granted; heartbeats come at a third of it."""

    def extend(self, sent_at: float, seconds: float) -> None:
        """The Domain extended the lease in answer to a call sent at `sent_at`. Too late is too late."""
        self.check()
        self._deadline = max(self._deadline, sent_at + seconds)

    def lose(self, why: str) -> None:
        """The Domain answered that the claim is not the current one."""
        self._lost = self._lost or why
        self._ended.set()

    @property
    def remaining(self) -> float:
        """Seconds until the lease ends; 0 once it is lost."""
        return 0.0 if self._lost else max(0.0, self._deadline - self._clock())

    def check(self) -> None:
        """Raise `Fenced` unless the lease is held now. Called before everything that others could see."""
        if self.remaining <= 0:
            self.lose("the lease could not be extended in time")
            raise Fenced(self._lost, remedy="Kill the child and write nothing.")

    async def ended(self) -> None:
        """Return when the lease is lost."""
        while (left := self.remaining) > 0:
            # In short waits: the loop's own clock stands still while the machine sleeps.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, 1.0)):
                    await self._ended.wait()
        self.lose("the lease could not be extended in time")
