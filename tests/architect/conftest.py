"""What tests of the whole agent share."""

from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from tests.architect.house import House, Talker, built
from tests.conftest import Databases, SpineDatabase, spine
from tests.views.readers import Readers, opened


@pytest.fixture(scope="module")
def house_database(databases: Databases) -> Generator[SpineDatabase]:
    """The database of the module's house."""
    yield from spine(databases)


@pytest.fixture(scope="module")
async def house(house_database: SpineDatabase, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House]:
    """A Domain, people and a repository; one for the tests of a module."""
    folder: Path = tmp_path_factory.mktemp("house")
    async with built(house_database, folder) as made:
        yield made


@pytest.fixture(scope="module")
async def architect(house: House) -> AsyncGenerator[Talker]:
    """The agent without a model."""
    async with house.architect() as talker:
        yield talker


@pytest.fixture(scope="module")
def told_in(databases: Databases) -> Generator[SpineDatabase]:
    """The database that the module's tools read."""
    yield from spine(databases)


@pytest.fixture(scope="module")
async def readers(told_in: SpineDatabase) -> AsyncGenerator[Readers]:
    """And its door."""
    async with opened(told_in) as found:
        yield found
