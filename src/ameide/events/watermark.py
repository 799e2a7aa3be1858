"""The place in the log of a consumer that reads from Kafka, kept so that archiving and a change of carrier go on.

Its group stores offsets; the log knows positions. What the forwarder has delivered up to a position lies in the
partitions before their ends of just afterwards: once the group has passed those, the consumer has passed the position.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from ameide.errors import Unreachable
from ameide.events.carriage import FOR_INGRESS
from ameide.events.ports import GroupProgress, Place
from ameide.events.wakeups import Wakeups
from ameide.storage.db import Database
from ameide.storage.sql import load

IDLE_SECONDS = 1.0
LOOK_SECONDS = 0.2
_SQL = load("carriage")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Mark:
    position: int
    ends: Mapping[Place, int]

    def is_passed(self, committed: Mapping[Place, int]) -> bool:
        return all(committed.get(place, 0) >= end for place, end in self.ends.items())


class Watermark:
    """Raises the place of `consumer` behind its group, of the facts for the ingress. Any number may run: a place only
    rises, and one whose process was started with settings that are not the newest leaves it alone.
    """

    def __init__(self, db: Database, progress: GroupProgress, consumer: str, wakeups: Wakeups) -> None:
        self._db = db
        self._progress = progress
        self._consumer = consumer
        self._wakeups = wakeups
        self._mark: _Mark | None = None

    async def run(self) -> None:
        """Follow until the process is closing; broker and database are waited for."""
        with self._wakeups.bell() as bell:
            while not self._wakeups.closing:
                try:
                    await self.step()
                except Unreachable as error:
                    log.info("how far %s has come is not known: %s", self._consumer, error)
                await bell.wait(IDLE_SECONDS if self._mark is None else LOOK_SECONDS)

    async def step(self) -> int | None:
        """Look once; the position that the consumer has now passed, or None when that is none further."""
        async with self._db.transaction(None) as tx:
            asked = {"consumer": self._consumer, "topics": list(FOR_INGRESS)}
            places = await tx.fetch_one(_SQL["places"], asked)
        if places is None or places["forwarded"] is None or places["passed"] is None:
            return None
        if self._mark is None or self._mark.position <= places["passed"]:
            if places["forwarded"] <= places["passed"]:
                return None
            self._mark = _Mark(places["forwarded"], await self._progress.ends())
        if not self._mark.is_passed(await self._progress.committed()):
            return None
        passed, self._mark = self._mark.position, None
        async with self._db.transaction(None, point="forwarder.watermark") as tx:
            await tx.execute(_SQL["pass"], {"consumer": self._consumer, "position": passed})
        return passed
