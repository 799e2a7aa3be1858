"""The Domain on the embedded PostgreSQL, as the roles that production uses."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from ameide.storage.db import Database
from tests.conftest import SpineDatabase
from tests.domain_work.world import World


@pytest.fixture
async def world(database: SpineDatabase) -> AsyncIterator[World]:
    """A Domain that knows nothing yet."""
    async with AsyncExitStack() as stack:

        async def role(name: str) -> Database:
            pool = Database(database.dsn(name), max_size=6)
            await pool.open()
            stack.push_async_callback(pool.close)
            return pool

        yield World(database, await role("ameide_app"), await role("ameide_relay"), await role("ameide_sweeper"))
