"""`python -m tests.log.archive_process DSN STORE KEEP POINT`: an archiver that ends by SIGKILL at a named point."""

import asyncio
import sys

from ameide import faults
from ameide.events.archive import Archiver
from ameide.infra.object_store import ObjectStore
from ameide.storage.db import Database


async def main(dsn: str, store: str, keep: str, point: str) -> None:
    faults.arm(point)
    db = Database(dsn, max_size=2)
    await db.open()
    async for step in Archiver(db, ObjectStore(store)).run(keep=int(keep)):
        print(step, flush=True)
    await db.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
