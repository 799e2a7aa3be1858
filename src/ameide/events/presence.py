"""Who is at work: roles and executors leave word now and then, so that people are told which of them is missing.

It is written at most every five seconds each, in a transaction of its own, and nothing is decided by it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from ameide.errors import Unreachable
from ameide.storage.db import Database
from ameide.storage.sql import load

BEAT_SECONDS = 5.0
_SQL = load("presence")
log = logging.getLogger(__name__)


class RolePresence:
    """One role's word, left from its own loop: a loop that hangs leaves none. `db` is the role's."""

    def __init__(self, db: Database, role: str) -> None:
        self._db = db
        self._role = role
        self._next = 0.0
        self._trouble: str = ""
        self._told: str = ""

    def hindered(self, trouble: str) -> None:
        """What keeps the role from getting on, in a sentence; empty when nothing does. Left with the next beat."""
        self._trouble = trouble

    async def beat(self) -> None:
        """The loop takes a turn. Raises Unreachable."""
        now = time.monotonic()
        if now < self._next and self._trouble == self._told:
            return
        trouble = self._trouble
        async with self._db.transaction(None) as tx:
            await tx.execute(_SQL["role"], (self._role, trouble))
        self._next, self._told = now + BEAT_SECONDS, trouble


class QueuePresence:
    """The word of the executors that poll here. `db` is the application's."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._written: dict[tuple[str, str, frozenset[str], bool], tuple[float, float]] = {}
        self._writing: set[asyncio.Task[None]] = set()

    def note(
        self, tenant_id: str, principal_id: str, queues: Sequence[str], seconds: float, *, comes_back: bool = True
    ) -> None:
        """A poll of these queues begins, and may wait so long. It is written beside the poll, which is not held up.

        One that does not come back is not missed when it has left.
        """
        now, key = time.monotonic(), (tenant_id, principal_id, frozenset(queues), comes_back)
        at, until = self._written.get(key, (-BEAT_SECONDS, 0.0))
        if now < at + BEAT_SECONDS and now + seconds <= until + BEAT_SECONDS:
            return
        self._written[key] = (now, now + seconds)
        task = asyncio.create_task(self._write(*key, seconds))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write(
        self, tenant_id: str, principal_id: str, queues: frozenset[str], comes_back: bool, seconds: float
    ) -> None:
        try:
            async with self._db.transaction(tenant_id) as tx:
                await tx.execute(
                    _SQL["queues"],
                    {
                        "tenant": tenant_id,
                        "principal": principal_id,
                        "queues": sorted(queues),
                        "seconds": seconds,
                        "comes_back": comes_back,
                    },
                )
        except Unreachable as error:
            log.debug("who polls was not noted", extra={"error": str(error)})
