"""The read side on the embedded PostgreSQL, with the roles that production uses."""

from collections.abc import AsyncGenerator

import pytest

from ameide.storage.db import Database
from tests.conftest import SpineDatabase
from tests.views.readers import Readers, opened
from tests.views.story import Story, told


@pytest.fixture
async def readers(database: SpineDatabase) -> AsyncGenerator[Readers]:
    """Nothing has happened yet."""
    async with opened(database) as made:
        yield made


@pytest.fixture
async def story(readers: Readers) -> Story:
    """A change was made in two iterations, and everything is projected."""
    return await told(readers)


@pytest.fixture
async def projector_database(database: SpineDatabase) -> AsyncGenerator[Database]:
    """Another projector's connections."""
    opened_pool = Database(database.dsn("ameide_projector"), max_size=3)
    await opened_pool.open()
    yield opened_pool
    await opened_pool.close()
