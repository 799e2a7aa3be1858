"""One Temporal server for the tests of the Process."""

from collections.abc import AsyncGenerator

import pytest
from temporalio.client import Client

from ameide.engine.engine import Running
from ameide.process.temporal import connect
from tests.process.town import Town, listening


@pytest.fixture(scope="session")
async def temporal(engine: Running) -> Client:
    """A client that speaks our messages."""
    return await connect(engine.temporal_address, engine.namespace)


@pytest.fixture
async def town(temporal: Client) -> AsyncGenerator[Town]:
    """A town whose workflows are served."""
    async with listening(temporal) as queue:
        yield Town(temporal, queue)
