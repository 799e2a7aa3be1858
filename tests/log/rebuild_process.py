"""`python -m tests.log.rebuild_process DSN STORE POINT`: a rebuild that ends by SIGKILL at a named point."""

import asyncio
import sys

from ameide import faults
from ameide.events.archived import ArchivedLog
from ameide.infra.object_store import ObjectStore
from ameide.storage.db import Database
from ameide.views.rebuild import Rebuild


async def main(dsn: str, store: str, point: str) -> None:
    faults.arm(point)
    db = Database(dsn, max_size=4)
    await db.open()
    await Rebuild(db, ArchivedLog(db, ObjectStore(store)), lambda done, total: None).swap()
    await db.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
