"""The Domain on the embedded PostgreSQL, with the roles that production uses."""

from collections.abc import AsyncIterator

import pytest

from ameide.storage.db import Database
from tests.conftest import SpineDatabase
from tests.domain_work.door import address, objects
from tests.domain_work.world import World

__all__ = ["address", "objects"]


@pytest.fixture
async def world(database: SpineDatabase) -> AsyncIterator[World]:
    """A Domain that knows nothing yet."""
    app = Database(database.dsn("ameide_app"), max_size=6)
    relay = Database(database.dsn("ameide_relay"), max_size=1)
    sweeper = Database(database.dsn("ameide_sweeper"), max_size=2)
    for opened in (app, relay, sweeper):
        await opened.open()
    yield World(database, app, relay, sweeper)
    for opened in (app, relay, sweeper):
        await opened.close()


@pytest.fixture
async def sweeper_database(database: SpineDatabase) -> AsyncIterator[Database]:
    """Another replica's connection as the sweeper."""
    opened = Database(database.dsn("ameide_sweeper"), max_size=1)
    await opened.open()
    yield opened
    await opened.close()
