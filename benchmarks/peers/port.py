"""What the harness asks of a queue."""

from __future__ import annotations

from typing import Protocol


class Peer(Protocol):
    """One queue on one database, driven from its own process. All run no-op jobs, ten of them at a time."""

    async def prepare(self, dsn: str) -> None:
        """Make the schema and connect."""
        ...

    async def fill(self, jobs: int) -> None:
        """Enqueue so many jobs; none may be left from before."""
        ...

    async def drain(self, seconds: float, batch: int) -> float:
        """Jobs a second from the first one on, taking `batch` at a time where the queue has such a setting."""
        ...

    async def pace(self, rate: float, seconds: float) -> list[float]:
        """Seconds from before each job was enqueued until it began, at a steady rate."""
        ...


class Meter:
    """Counts jobs, and stops the clock when the time is over."""

    def __init__(self, clock: float = 0.0) -> None:
        self.done = 0
        self.first = clock
        self.last = clock

    def count(self, now: float) -> None:
        """A job has run."""
        if not self.done:
            self.first = now
        self.done += 1
        self.last = now

    @property
    def rate(self) -> float:
        """Jobs a second; the first only starts the clock."""
        return (self.done - 1) / (self.last - self.first) if self.done > 1 else 0.0
