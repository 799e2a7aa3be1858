"""A database as an earlier version left it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from ameide.engine.postgres import PostgresAddress
from ameide.storage import migrate as migrations
from tests.conftest import Databases, SpineDatabase
from tests.upgrades.dump import Rows, columns, load, rows
from tests.upgrades.record import prepare


@dataclass(frozen=True)
class Past:
    """A database of an earlier schema: its tables with their columns, and their rows."""

    spine: SpineDatabase
    schema: int
    columns: dict[str, list[str]]
    rows: Rows

    def rows_now(self) -> Rows:
        """The rows as they are now, as far as the earlier schema knew them."""
        return rows(self.spine.address.conninfo, self.columns)

    async def upgrade(self) -> list[str]:
        """Bring it to the newest schema; returns the migrations that were applied."""
        return await migrations.migrate(self.spine.address.conninfo)


def restored(databases: Databases, path: Path) -> Past:
    """A database of its own with the rows of one recording, under the schema that the file is named by."""
    schema, known = int(path.stem), migrations.migrations()

    def restore(address: PostgresAddress) -> None:
        with pytest.MonkeyPatch.context() as earlier:
            earlier.setattr(migrations, "migrations", lambda: [one for one in known if one[0] <= schema])
            asyncio.run(prepare(SpineDatabase(address)))
        load(address.conninfo, path)

    clone = databases.clone(databases.template(f"past_{path.stem}", restore))
    of = columns(clone.conninfo)
    return Past(SpineDatabase(clone), schema, of, rows(clone.conninfo, of))
