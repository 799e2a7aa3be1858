"""What tests of the whole agent share."""

from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from tests.architect.house import House, Talker, built
from tests.conftest import Databases, SpineDatabase, spine


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
