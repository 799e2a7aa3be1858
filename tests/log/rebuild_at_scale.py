"""`python -m tests.log.rebuild_at_scale 200000`: so many facts, half of them archived, and the read model made again.

Prints what each step took and exits 1 unless the rebuilt read model has the very bytes of the live one. The last line
compares the rebuild with a bare COPY of the resulting rows into tables of the same shape, in the same run.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from ameide.config import DATABASE_ROLES
from ameide.engine.engine import Engine
from ameide.events.archive import Archiver
from ameide.events.archived import Archive, ArchivedLog
from ameide.events.wakeups import Wakeups
from ameide.storage.db import Database
from ameide.storage.migrate import ensure_roles, migrate
from ameide.views.projector import Projector
from ameide.views.rebuild import Rebuild
from ameide.views.shadow import TABLES
from tests.conftest import SpineDatabase
from tests.log.facts import all_read_by_ingress, say_facts
from tests.views.readers import opened


@dataclass(frozen=True)
class Figures:
    """Seconds, and what they were spent on."""

    messages: int
    archived: int
    rows: int
    archiving: float
    comparing: float
    rebuilding: float
    copying: float
    equal: bool

    @property
    def ratio(self) -> float:
        """Rows a second of the rebuild, as a share of bare COPY's."""
        return self.copying / self.rebuilding


def digest(database: SpineDatabase) -> str:
    """SHA-256 over every byte of the read model, in the order of its keys."""
    hashed = hashlib.sha256()
    with psycopg.connect(database.address.conninfo) as admin:
        for table in TABLES:
            with admin.cursor().copy(
                f"COPY (SELECT * FROM ameide.{table} ORDER BY 1, 2, 3) TO STDOUT".encode()
            ) as copy:
                for block in copy:
                    hashed.update(block)
    return hashed.hexdigest()


def copy_of_the_rows(database: SpineDatabase) -> tuple[int, float]:
    """Copies the rows of the read model into empty tables with the same indexes; gives how many, and the seconds."""
    count, seconds = 0, 0.0
    with psycopg.connect(database.address.conninfo, autocommit=True) as admin:
        for table in TABLES:
            admin.execute(f"CREATE TABLE ameide.bare (LIKE ameide.{table} INCLUDING ALL)".encode())
            with admin.cursor().copy(
                f"COPY (SELECT * FROM ameide.{table} ORDER BY 1, 2, 3) TO STDOUT BINARY".encode()
            ) as out:
                blocks = [bytes(block) for block in out]
            began = time.monotonic()
            cursor = admin.cursor()
            with cursor.copy(b"COPY ameide.bare FROM STDIN BINARY") as into:
                for block in blocks:
                    into.write(block)
            seconds += time.monotonic() - began
            count += cursor.rowcount
            admin.execute("DROP TABLE ameide.bare")
    return count, seconds


async def measure(spine: SpineDatabase, count: int, say: Callable[[str], None]) -> Figures:
    """Say so many facts, project and archive them, rebuild, and compare."""
    async with AsyncExitStack() as stack:
        readers = await stack.enter_async_context(opened(spine))

        async def role(name: str) -> Database:
            db = Database(spine.dsn(name), max_size=6)
            await db.open()
            stack.push_async_callback(db.close)
            return db

        keeper, projecting = await role("ameide_relay"), await role("ameide_projector")
        head = await say_facts(readers, keeper, count, partition=max(1, count // 4))
        say(f"{head:,} messages are in the log.")
        projector = Projector(projecting, Wakeups(), batch=5_000)
        while await projector.step():
            pass
        all_read_by_ingress(spine)
        say("The live projector has them.")
        began = time.monotonic()
        archived = [
            step
            async for step in Archiver(keeper, readers.objects).run(keep=head // 2 - 1)
            if isinstance(step, Archive)
        ]
        archiving = time.monotonic() - began
        last = archived[-1].last if archived else 0
        say(f"{last:,} are archived and dropped ({archiving:.1f} s).")
        live = digest(spine)
        rebuild = Rebuild(projecting, ArchivedLog(projecting, readers.objects), lambda done, total: None)
        began = time.monotonic()
        _, differences = await rebuild.compare()
        comparing = time.monotonic() - began
        say(f"Rebuilt and compared ({comparing:.1f} s): {differences or 'no difference'}.")
        began = time.monotonic()
        await rebuild.swap()
        rebuilding = time.monotonic() - began
        say(f"Rebuilt and swapped in ({rebuilding:.1f} s).")
        equal = not differences and digest(spine) == live
        rows, copying = copy_of_the_rows(spine)
        return Figures(head, last, rows, archiving, comparing, rebuilding, copying, equal)


def main(count: int) -> int:
    """The whole of it on a PostgreSQL of its own."""
    folder = Path(tempfile.mkdtemp(prefix="ameide-"))
    folder.chmod(0o711)
    engine = Engine(folder, folder, say=print)
    try:
        spine = SpineDatabase(engine.start_postgres())
        asyncio.run(_prepared(spine))
        figures = asyncio.run(measure(spine, count, print))
    finally:
        engine.stop()
        engine.purge()
        shutil.rmtree(folder)
    print(f"The read model has {figures.rows:,} rows; {'byte-equal' if figures.equal else 'NOT EQUAL'}.")
    rate = figures.rows / figures.rebuilding
    print(f"Rebuild {figures.messages / figures.rebuilding:,.0f} messages/s, {rate:,.0f} rows/s.")
    print(f"COPY {figures.rows / figures.copying:,.0f} rows/s; ratio {figures.ratio:.2f}.")
    return 0 if figures.equal else 1


async def _prepared(spine: SpineDatabase) -> None:
    passwords = {role: str(conninfo_to_dict(spine.dsn(role))["password"]) for role in DATABASE_ROLES}
    await ensure_roles(spine.address.conninfo, passwords)
    await migrate(spine.address.conninfo)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000))
