"""What fault tests share."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.conftest import SpineDatabase
from tests.faults.scene import Scene, opened


@pytest.fixture
async def scene(database: SpineDatabase, tmp_path: Path) -> AsyncGenerator[Scene]:
    """A Domain with one repository, its relay and its projector."""
    async with opened(database, tmp_path) as made:
        yield made
