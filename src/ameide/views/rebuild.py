"""The read model again, from archive and log: filled beside the live one, then compared with it or put in its place.

The live projector goes on meanwhile and is held only for the last steps. A rebuild that ends in between has changed
nothing; the next one begins anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from ameide.errors import Refused, Unreachable
from ameide.events.archived import ArchivedLog
from ameide.events.log import wait_for_cursor
from ameide.events.messages import LoggedMessage
from ameide.storage.db import BadData, Database, Transaction
from ameide.storage.sql import load
from ameide.views.projecting import NotProjected, Projecting
from ameide.views.projection import Rows
from ameide.views.shadow import TABLES, Difference, difference, write_shadow

_LIVE = "projector"
# Messages whose rows are written together: COPY is cheap a row and dear a call.
BATCH = 20_000
_READ = 5_000
# This near behind the live one the rest is done while that one is held.
_NEAR = 1_000
_REPORT = "The live projector could do it; use the version of ameide that it is of, and report this"
_TRIES, _PAUSE_SECONDS = 20, 0.5
_SQL = load("rebuild")


@dataclass(slots=True)
class _Place:
    """How far the shadow tables are: everything up to the position, except what the live projector has set aside."""

    position: int = 0
    waiting: dict[int, LoggedMessage] = field(default_factory=dict[int, LoggedMessage])


class Rebuild:
    """One at a time. `db` is of the role ameide_projector; `tell` hears how many of how many messages are projected."""

    def __init__(self, db: Database, archived: ArchivedLog, tell: Callable[[int, int], None]) -> None:
        self._db = db
        self._archived = archived
        self._tell = tell
        self._tables = {"tables": list(TABLES)}

    async def swap(self) -> int:
        """Put a rebuilt read model in the place of the live one; returns the log position that it has come to.

        Raises Refused while another rebuild runs or when a message cannot be projected, Unreachable when readers keep
        the live tables; the live read model is as it was then.
        """
        async with self._alone():
            place = await self._filled()
            async with self._db.transaction(None, point="rebuild.swap") as tx:
                await self._level(tx, place)
                for _ in range(_TRIES):
                    done = await tx.fetch_one(_SQL["swap_shadow"], self._tables)
                    if done is not None and done["outcome"] == "swapped":
                        return place.position
                    await asyncio.sleep(_PAUSE_SECONDS)
            raise Unreachable(
                "the read model is rebuilt but could not be swapped in: something keeps reading the live tables",
                remedy="Run the command again when that has ended, e.g. a dump of the database",
            )

    async def compare(self) -> tuple[int, list[Difference]]:
        """Compare a rebuilt read model with the live one, row by row and byte by byte; returns the log position at
        which they were compared, and for each table that differs how. Raises as `swap` does."""
        async with self._alone():
            place = await self._filled()
            async with AsyncExitStack() as later:
                async with self._db.transaction(None) as tx:
                    await self._level(tx, place)
                    snapshot = await later.enter_async_context(self._db.transaction(None))
                    await snapshot.execute(_SQL["one_snapshot"])
                    await snapshot.fetch_one(_SQL["live_position"])
                found = [await difference(snapshot, table) for table in TABLES]
            async with self._db.transaction(None) as tx:
                await tx.execute(_SQL["drop_shadow"], self._tables)
            return place.position, [one for one in found if one is not None]

    @asynccontextmanager
    async def _alone(self) -> AsyncGenerator[None]:
        async with self._db.transaction(None) as tx:
            row = await tx.fetch_one(_SQL["one_at_a_time"])
            if row is None or not row["alone"]:
                raise Refused(
                    "another rebuild of the read model is running", remedy="Wait for it", reason="REBUILD_RUNNING"
                )
            yield

    async def _filled(self) -> _Place:
        """New shadow tables, nearly as far as the live ones, with their indexes."""
        async with self._db.transaction(None) as tx:
            await tx.execute(_SQL["make_shadow"], self._tables)
        place = _Place()
        await self._near(place)
        async with self._db.transaction(None, point="rebuild.finish") as tx:
            await tx.execute(_SQL["finish_shadow"], self._tables)
        # The live one went on while the indexes were made.
        await self._near(place)
        return place

    async def _near(self, place: _Place) -> None:
        while await self._follow(place) > _NEAR:
            pass

    async def _level(self, tx: Transaction, place: _Place) -> None:
        """Hold the live projector and come to where it stands."""
        await wait_for_cursor(tx, _LIVE)
        await self._follow(place)

    async def _follow(self, place: _Place) -> int:
        """Come to where the live projector was a moment ago; returns how many messages that took."""
        async with self._db.transaction(None) as tx:
            row = await tx.fetch_one(_SQL["live_position"])
            assert row is not None
            upto: int = row["position"]
            parked = await tx.fetch_all(_SQL["waiting"], {"upto": upto})
        waiting = {one["position"]: LoggedMessage.of(one) for one in parked}
        # Released and delivered since: the live projector has projected them by now.
        batch = [message for position, message in sorted(place.waiting.items()) if position not in waiting]
        count = len(batch)
        async with Projecting(self._write) as projecting:
            async for messages in self._archived.history(place.position, upto, _READ):
                batch += [message for message in messages if message.position not in waiting]
                count += len(messages)
                if len(batch) >= BATCH:
                    await projecting.add(batch)
                    batch = []
                self._tell(messages[-1].position, upto)
            await projecting.add(batch)
            await projecting.done()
        place.position, place.waiting = upto, waiting
        return count

    async def _write(self, batch: list[LoggedMessage], rows: Rows | NotProjected) -> None:
        if isinstance(rows, NotProjected):
            raise Refused(
                f"the message {rows.message_id} at {rows.position} cannot be projected: {rows.error}",
                remedy=_REPORT,
                reason="NOT_PROJECTED",
            )
        try:
            async with self._db.transaction(None, point="rebuild.batch") as tx:
                await write_shadow(tx, rows)
        except BadData as error:
            raise Refused(
                f"the database refuses a row of the messages {batch[0].position} to {batch[-1].position}: {error}",
                remedy=_REPORT,
                reason="NOT_PROJECTED",
            ) from error
