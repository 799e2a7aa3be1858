"""The projector: reads the log in order, writes what queries read, with its watermark in the same transaction."""

from __future__ import annotations

import asyncio
import logging
import time

from ameide.errors import Unreachable
from ameide.events.log import advance_cursor, lock_cursor, read
from ameide.events.messages import LoggedMessage
from ameide.events.parking import Parking
from ameide.events.presence import RolePresence
from ameide.events.wakeups import Bell, Wakeups
from ameide.storage.db import BadData, Database, Transaction
from ameide.storage.sql import load
from ameide.telemetry import metrics
from ameide.views.projection import Rows, project

CONSUMER = "projector"
POLL_SECONDS = 0.5
RETRY_SECONDS = 2.0
# The facts of a step come in quick succession: projected together, they cost hardly more than one.
GATHER_SECONDS = 0.05
_SQL = load("views")
log = logging.getLogger(__name__)


class Projector:
    """Keeps the views. Any number may run, the one with the cursor works. `db` is of the role ameide_projector.

    A fact of an unknown kind is skipped and counted; one that cannot be projected is parked with the later ones of its
    key.
    """

    def __init__(self, db: Database, wakeups: Wakeups, *, batch: int = 500) -> None:
        self._db = db
        self._wakeups = wakeups
        self._batch = batch
        self._parking = Parking(CONSUMER)
        self._presence = RolePresence(db, CONSUMER)
        # Whether the last batch may have left something.
        self._behind = False
        self.projected = 0
        self.skipped = 0
        self.parked = 0

    async def step(self) -> int:
        """Project one batch; returns its size, 0 when idle or while another projector works. Raises Unreachable."""
        begun, before = time.perf_counter(), (self.projected, self.skipped, self.parked)
        async with self._db.transaction(None) as tx:
            position = await lock_cursor(tx, CONSUMER)
            if position is None:
                self._behind = False
                return 0
            keys = await self._parking.keys(tx)
            if keys.released:
                batch = await self._parking.released(tx, self._batch)
            else:
                batch = await read(tx, position, self._batch)
            self._behind = bool(keys.released) or len(batch) == self._batch
            tx.point = "projector.batch" if batch else ""
            await self._apply(tx, batch, set(keys.stuck))
            if batch and not keys.released:
                await advance_cursor(tx, CONSUMER, batch[-1].position)
        if batch:
            self._count(before, time.perf_counter() - begun)
            self._wakeups.ring("view")
        return len(batch)

    def _count(self, before: tuple[int, int, int], seconds: float) -> None:
        projected, skipped, parked = before
        # A skipped fact has its row, too, and so is among the projected ones.
        news = {"skipped": self.skipped - skipped, "parked": self.parked - parked}
        news["projected"] = self.projected - projected - news["skipped"]
        for outcome, count in news.items():
            metrics.EVENTS_PROCESSED.labels(CONSUMER, outcome).inc(count)
        metrics.EVENT_PROCESSING.labels(CONSUMER).observe(seconds)

    async def run(self) -> None:
        """Project until the process is closing; an unreachable database is waited for."""
        with self._wakeups.bell("log") as bell:
            while not self._wakeups.closing:
                await self._turn(bell)

    async def _turn(self, bell: Bell) -> None:
        try:
            await self._presence.beat()
            await self.step()
            if not self._behind and await bell.wait(POLL_SECONDS):
                await asyncio.sleep(GATHER_SECONDS)
        except Unreachable as error:
            log.warning("the projector waits for the database", extra={"error": str(error)})
            await bell.wait(RETRY_SECONDS)

    async def _apply(self, tx: Transaction, batch: list[LoggedMessage], stuck: set[str]) -> None:
        ready: list[tuple[LoggedMessage, Rows]] = []
        for message in batch:
            if message.key in stuck:
                await self._parking.park_behind(tx, message, message.key)
                self.parked += 1
                continue
            try:
                rows = project(message)
            except (ValueError, TypeError) as error:
                await self._park(tx, message, stuck, error)
                continue
            if rows is None:
                self.skipped += 1
                log.info("a fact of an unknown kind was skipped", extra={"message_id": message.message_id})
            ready.append((message, rows or Rows()))
        await self._write(tx, ready, stuck)

    async def _write(self, tx: Transaction, ready: list[tuple[LoggedMessage, Rows]], stuck: set[str]) -> None:
        together = Rows()
        for _, rows in ready:
            together.extend(rows)
        try:
            async with tx.savepoint():
                await write(tx, together)
                for message, _ in ready:
                    await self._done(tx, message)
            self.projected += len(ready)
        except BadData:
            # One of them is at fault: one by one, so that only its key is parked.
            for message, rows in ready:
                await self._write_one(tx, message, rows, stuck)

    async def _write_one(self, tx: Transaction, message: LoggedMessage, rows: Rows, stuck: set[str]) -> None:
        if message.key in stuck:
            await self._parking.park_behind(tx, message, message.key)
            self.parked += 1
            return
        try:
            async with tx.savepoint():
                await write(tx, rows)
                await self._done(tx, message)
            self.projected += 1
        except BadData as error:
            await self._park(tx, message, stuck, error)

    async def _done(self, tx: Transaction, message: LoggedMessage) -> None:
        if message.redriven:
            await self._parking.unpark(tx, message.position)

    async def _park(self, tx: Transaction, message: LoggedMessage, stuck: set[str], error: Exception) -> None:
        await self._parking.park(tx, message, message.key, f"{type(error).__name__}: {error}")
        stuck.add(message.key)
        self.parked += 1
        log.error(
            "a message cannot be projected and is parked with its key",
            extra={"message_id": message.message_id, "key": message.key, "error": str(error)},
        )


async def write(tx: Transaction, rows: Rows) -> None:
    """Write rows; each statement leaves what is newer, so the same rows may be written again."""
    final = rows.folded()
    for name, values in (
        ("put_fact", final.facts),
        ("put_state", final.states),
        ("put_process", final.processes),
    ):
        if values:
            await tx.execute_many(_SQL[name], values)
