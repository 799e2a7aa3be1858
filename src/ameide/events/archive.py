"""Retention: whole partitions of the log go to the object store, are read back and compared, and only then are dropped.

Each step may be the last one before the process dies, and any number of these may run: objects are named by their
content, the record is made once, and the database itself refuses to drop what is not recorded or not yet consumed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime

from ameide.errors import Unreachable
from ameide.events.archive_format import CHUNK, Chunk, Manifest, chunk_of, damaged, folder_of, pack, sha256, unpack
from ameide.events.archived import Archive, ArchivedLog, archives
from ameide.events.log import read
from ameide.events.ports import Objects
from ameide.faults import reach
from ameide.storage.db import Database
from ameide.storage.sql import load

_SQL = load("archive")
# The database waits a second for the log's readers, so that the relay never waits longer behind it.
_TRIES = 30
_PAUSE_SECONDS = 1.0


def _unheard(_done: int, _total: int) -> None:
    """Nobody asked for progress."""


@dataclass(frozen=True, slots=True)
class Held:
    """Why the log from `first` on stays in the database."""

    first: int
    reason: str


class Archiver:
    """Archives what is due. `db` is of the role ameide_relay, the log's keeper.

    `tell` hears how many of how many messages of a partition are done; each is written, then compared.
    """

    def __init__(self, db: Database, objects: Objects, tell: Callable[[int, int], None] = _unheard) -> None:
        self._db = db
        self._objects = objects
        self._tell = tell
        self._archived = ArchivedLog(db, objects)

    async def run(self, *, keep: int = 0, before: datetime | None = None) -> AsyncIterator[Archive | Held]:
        """Archive and drop, oldest first, each partition that all consumers have passed, that holds none of the newest
        `keep` messages and, with `before`, whose last message is older. Gives each one, and then what holds the rest.

        Raises Refused when the store does not give back what was written, Unreachable when store or database are away.
        """
        while True:
            due = await self._next(keep, before)
            if isinstance(due, Held):
                yield due
                return
            yield await self._archive(*due)

    async def _next(self, keep: int, before: datetime | None) -> tuple[int, int] | Held:
        async with self._db.transaction(None) as tx:
            row = await tx.fetch_one(_SQL["oldest"])
            if row is None:
                return Held(1, "the log is empty")
            first, last = row["first"], row["last"]
            if row["head"] < last:
                return Held(first, f"the partition of {first} to {last} is not full, the log ends at {row['head']}")
            if row["passed"] < last:
                return Held(
                    first, f"the {row['slowest']} has come to {row['passed']} only, the partition ends at {last}"
                )
            if row["head"] - keep < last:
                return Held(first, f"the partition of {first} to {last} holds some of the newest {keep} messages")
            newest = await tx.fetch_one(_SQL["time_of"], {"position": last})
            if before is not None and newest is not None and newest["occurred_at"] >= before:
                return Held(first, f"the partition of {first} to {last} ends at {newest['occurred_at']:%Y-%m-%d %H:%M}")
            return first, last

    async def _archive(self, first: int, last: int) -> Archive:
        archive = await self._recorded(first)
        if archive is None:
            manifest = await self._write(first, last)
            await self._compare(manifest)
            archive = await self._record(manifest)
        else:
            # Recorded by a run that ended before it dropped the partition.
            await self._compare(await self._archived.manifest(archive))
        await self._drop(first)
        dropped = await self._recorded(first)
        assert dropped is not None
        return dropped

    async def _recorded(self, first: int) -> Archive | None:
        async with self._db.transaction(None) as tx:
            return next((archive for archive in await archives(tx) if archive.first == first), None)

    async def _write(self, first: int, last: int) -> Manifest:
        folder = folder_of(first, last)
        chunks: list[Chunk] = []
        async with self._db.transaction(None) as tx:
            known = [archive for archive in await archives(tx) if archive.last < first]
            twice = await tx.fetch_one(_SQL["message_twice"], {"first": first, "last": last})
        if twice is not None:
            raise damaged(f"the message {twice['message_id']} is in the log twice, between {first} and {last}")
        for start in range(first, last + 1, CHUNK):
            async with self._db.transaction(None) as tx:
                messages = await read(tx, start - 1, min(CHUNK, last - start + 1))
            data = await asyncio.to_thread(pack, messages)
            chunk = chunk_of(messages, data, folder)
            reach("archive.chunk.before")
            await self._objects.put_if_absent(chunk.object, data)
            reach("archive.chunk.after")
            chunks.append(chunk)
            self._tell((chunk.last - first + 1) // 2, last - first + 1)
        manifest = Manifest(first, last, known[-1].manifest_sha256 if known else "", tuple(chunks))
        await self._objects.put_if_absent(manifest.uri, manifest.to_bytes())
        reach("archive.manifest.after")
        return manifest

    async def _compare(self, manifest: Manifest) -> None:
        """Read everything back: each byte as written, each message as in the log."""
        written = Manifest.of(manifest.uri, await self._objects.get(manifest.uri), sha256(manifest.to_bytes()))
        expected = written.first
        for chunk in written.chunks:
            messages = await asyncio.to_thread(unpack, chunk, await self._objects.get(chunk.object))
            async with self._db.transaction(None) as tx:
                rows = await read(tx, expected - 1, len(messages))
            if messages != rows:
                raise damaged(f"{chunk.object} differs from the log of {chunk.first} to {chunk.last}")
            expected = chunk.last + 1
            total = written.last - written.first + 1
            self._tell((total + expected - written.first) // 2, total)
        if expected != written.last + 1:
            raise damaged(f"{manifest.uri} ends at {expected - 1} and not at {written.last}")

    async def _record(self, manifest: Manifest) -> Archive:
        parameters = {
            "first": manifest.first,
            "last": manifest.last,
            "manifest": manifest.uri,
            "sha256": sha256(manifest.to_bytes()),
            "bytes": sum(chunk.bytes for chunk in manifest.chunks),
        }
        async with self._db.transaction(None, point="archive.record") as tx:
            await tx.execute(_SQL["record_archive"], parameters)
        archive = await self._recorded(manifest.first)
        assert archive is not None
        return archive

    async def _drop(self, first: int) -> None:
        for _ in range(_TRIES):
            async with self._db.transaction(None, point="archive.drop") as tx:
                done = await tx.fetch_one(_SQL["drop_archived"], {"first": first})
            if done is not None and done["outcome"] != "busy":
                return
            await asyncio.sleep(_PAUSE_SECONDS)
        raise Unreachable(
            f"the partition from {first} on is archived but could not be dropped: something keeps reading the log",
            remedy="Run the command again when that has ended, e.g. a dump of the database",
        )
