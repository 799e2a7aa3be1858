"""Reading the archive of the log: what the database remembers, what lies in the object store, and that they agree."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from ameide.errors import Internal, NotFound
from ameide.events.archive_format import Manifest, damaged, unpack
from ameide.events.log import read
from ameide.events.messages import LoggedMessage
from ameide.events.ports import Objects
from ameide.storage.db import Database, Transaction
from ameide.storage.sql import load

_SQL = load("archive")


@dataclass(frozen=True, slots=True)
class Archive:
    """One archived partition as the database remembers it. `bytes` is its size in the store."""

    first: int
    last: int
    manifest: str
    manifest_sha256: str
    bytes: int
    archived_at: datetime
    # None while the partition is still in the database.
    dropped_at: datetime | None


class ArchivedLog:
    """The archived part of the log. `db` is of a role that may read `log_archive`. Every byte read is checked."""

    def __init__(self, db: Database, objects: Objects) -> None:
        self._db = db
        self._objects = objects

    async def list(self) -> list[Archive]:
        """All archives, in order."""
        async with self._db.transaction(None) as tx:
            return await archives(tx)

    async def manifest(self, archive: Archive) -> Manifest:
        """The manifest of an archive. Raises Refused when it is gone, changed, or of other positions."""
        manifest = Manifest.of(archive.manifest, await self._get(archive.manifest), archive.manifest_sha256)
        edges = [chunk.first for chunk in manifest.chunks] + [archive.last + 1]
        ends = [archive.first - 1] + [chunk.last for chunk in manifest.chunks]
        if (manifest.first, manifest.last) != (archive.first, archive.last) or edges != [end + 1 for end in ends]:
            raise damaged(f"{archive.manifest} does not list the positions {archive.first} to {archive.last}")
        return manifest

    async def read(self, after: int) -> AsyncIterator[list[LoggedMessage]]:
        """Chunk by chunk what is archived behind a position."""
        for archive in await self.list():
            if archive.last <= after:
                continue
            for chunk in (await self.manifest(archive)).chunks:
                if chunk.last > after:
                    messages = unpack(chunk, await self._get(chunk.object))
                    yield [message for message in messages if message.position > after]

    async def history(self, after: int, upto: int, limit: int) -> AsyncIterator[list[LoggedMessage]]:
        """Archive and log from behind one position up to another, in order, without a gap; from the log at most `limit`
        at once. Partitions may leave it meanwhile. Raises Internal when a message is in neither."""
        while after < upto:
            begun = after
            async for messages in self.read(after):
                if messages[0].position <= upto:
                    after = min(messages[-1].position, upto)
                    yield [message for message in messages if message.position <= upto]
            while after < upto:
                try:
                    async with self._db.transaction(None) as tx:
                        messages = await read(tx, after, min(limit, upto - after))
                    if not messages:
                        raise Internal(f"the log ends at {after}, {upto} was read before", remedy="Restore the log")
                except Internal:
                    # Archived and dropped since the archive was read, or never there.
                    if after == begun:
                        raise
                    break
                after = messages[-1].position
                yield messages

    async def find(self, position: int) -> LoggedMessage | None:
        """The message at a position, or None when that is not archived."""
        for archive in await self.list():
            if archive.first <= position <= archive.last:
                for chunk in (await self.manifest(archive)).chunks:
                    if chunk.first <= position <= chunk.last:
                        return unpack(chunk, await self._get(chunk.object))[position - chunk.first]
        return None

    async def verify(self) -> AsyncIterator[Archive]:
        """Check all of it, from the first message on, and give each archive once it is known to be whole.

        Raises Refused naming the first object with another byte than was written, or that is missing.
        """
        previous, expected = "", 1
        for archive in await self.list():
            manifest = await self.manifest(archive)
            if archive.first != expected or manifest.previous != previous:
                raise damaged(f"{archive.manifest} does not follow the archive before it")
            for chunk in manifest.chunks:
                unpack(chunk, await self._get(chunk.object))
            previous, expected = archive.manifest_sha256, archive.last + 1
            yield archive

    async def _get(self, uri: str) -> bytes:
        try:
            return await self._objects.get(uri)
        except NotFound as error:
            raise damaged(f"{uri} is gone from the object store") from error


async def archives(tx: Transaction) -> list[Archive]:
    """What the database knows of the archive, in order."""
    return [Archive(**row) for row in await tx.fetch_all(_SQL["archives"])]
