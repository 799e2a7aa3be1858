"""Record a database that every later version must take over.

    python -m tests.upgrades.record

lets `tests.upgrades.past` happen under the newest schema, and writes its rows to `databases`, named by that schema. A
database that is there already is kept: it is what that version left behind.
"""

import asyncio
import shutil
import tempfile
from pathlib import Path

from ameide import config
from ameide.engine.engine import Engine
from ameide.storage.db import password_of
from ameide.storage.migrate import ensure_roles, migrate, migrations
from tests.conftest import SpineDatabase
from tests.upgrades.dump import save
from tests.upgrades.past import lived
from tests.views.readers import opened

DATABASES = Path(__file__).parent / "databases"
RECORDED = sorted(DATABASES.glob("*.sql"))


async def prepare(spine: SpineDatabase) -> None:
    """The roles, and the newest schema."""
    await ensure_roles(spine.address.conninfo, {role: password_of(spine.dsn(role)) for role in config.DATABASE_ROLES})
    await migrate(spine.address.conninfo)


async def _record(spine: SpineDatabase, path: Path) -> None:
    await prepare(spine)
    async with opened(spine) as readers:
        await lived(readers)
    save(spine.address.conninfo, path)


def main() -> None:
    """Record the newest schema, unless it is recorded."""
    path = DATABASES / f"{migrations()[-1][0]:04d}.sql"
    if path.exists():
        print(f"{path.name} is recorded.")
        return
    folder = Path(tempfile.mkdtemp(prefix="ameide-"))
    folder.chmod(0o711)
    engine = Engine(folder, config.read().cache_dir, say=print)
    try:
        asyncio.run(_record(SpineDatabase(engine.start_postgres()), path))
        print(f"{path.name}: {path.stat().st_size // 1024} KiB")
    finally:
        engine.stop()
        engine.purge()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
