"""The relay is the sequencer: it gives every fact and intent its place in the one order (contracts 8).

Reading an outbox by `id > cursor` loses late commits, and ordering by transaction id inverts facts of one aggregate.
Moving rows under one locked head row does neither: what is visible is moved, what commits later is placed later.
"""

from __future__ import annotations

import logging
from collections.abc import Collection

from ameide.errors import Unreachable
from ameide.events.presence import RolePresence
from ameide.events.wakeups import Bell, Wakeups
from ameide.storage.db import Database
from ameide.storage.sql import load
from ameide.telemetry import metrics

POLL_SECONDS = 0.5
RETRY_SECONDS = 2.0
# A partition is what is archived, checked and dropped at once: about a gigabyte, minutes of work. Fewer partitions keep
# planning quick: at one message a second a year makes 32.
PARTITION = 1_000_000
_SQL = load("events")
log = logging.getLogger(__name__)


class Relay:
    """Moves the outbox into the log. Any number may run; the one that gets the head row moves.

    `db` is of the role ameide_relay. Intents of the queues `elsewhere` are left to their forwarder; all others become
    rows of PostgreSQL queues in the moving transaction. A partition of the log holds `partition` messages and is made
    before a batch may need it.
    """

    def __init__(
        self,
        db: Database,
        wakeups: Wakeups,
        *,
        batch: int = 1000,
        elsewhere: Collection[str] = (),
        partition: int = PARTITION,
    ) -> None:
        self._db = db
        self._wakeups = wakeups
        self._batch = batch
        self._elsewhere = list(elsewhere)
        self._presence = RolePresence(db, "relay")
        self._partition = partition
        # The first position that has no partition yet, as far as this relay knows.
        self._edge = 0

    async def move(self) -> int:
        """Move one batch; returns its size, 0 when there is nothing or another relay is at it. Raises Unreachable."""
        asked = {"most": self._batch, "elsewhere": self._elsewhere, "size": self._partition, "edge": self._edge}
        async with self._db.transaction(None) as tx:
            done = await tx.fetch_one(_SQL["move"], asked)
            assert done is not None
            if done["moved"]:
                tx.point = "relay.move"
        self._edge = done["edge"]
        if done["moved"]:
            metrics.EVENTS_PUBLISHED.inc(done["moved"])
            self._wakeups.ring("log")
        if done["intents"]:
            self._wakeups.ring("queue")
        return int(done["moved"])

    async def run(self) -> None:
        """Move until the process is closing; an unreachable database is waited for."""
        with self._wakeups.bell("outbox") as bell:
            while not self._wakeups.closing:
                await self._step(bell)

    async def _step(self, bell: Bell) -> None:
        try:
            await self._presence.beat()
            # Less than a full batch was all there was: what has come since has rung.
            if await self.move() < self._batch:
                await bell.wait(POLL_SECONDS)
        except Unreachable as error:
            log.warning("the relay waits for the database", extra={"error": str(error)})
            await bell.wait(RETRY_SECONDS)
