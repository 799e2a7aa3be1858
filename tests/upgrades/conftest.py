"""Databases as earlier versions left them, and what this version makes of them."""

from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest

from ameide.storage.migrate import migrations
from tests.conftest import Databases
from tests.upgrades.record import RECORDED
from tests.upgrades.restore import Past, restored
from tests.views.readers import Readers, opened

_NEWEST = migrations()[-1][0]


@pytest.fixture(params=[path for path in RECORDED if int(path.stem) < _NEWEST], ids=lambda path: path.stem)
def past(request: pytest.FixtureRequest, databases: Databases) -> Iterator[Past]:
    """The database of one recording, not upgraded yet."""
    path: Path = request.param
    made = restored(databases, path)
    yield made
    databases.drop(made.spine.address)


@pytest.fixture
async def upgraded(past: Past) -> AsyncGenerator[Readers]:
    """A Domain, a relay, a sweeper and a projector of this version on the upgraded database."""
    await past.upgrade()
    async with opened(past.spine) as readers:
        yield readers
