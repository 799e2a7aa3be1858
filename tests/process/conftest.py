"""One Temporal server and one performance of all scenarios for the tests of the Process."""

import pytest
from temporalio.client import Client

from ameide.engine.engine import Running
from ameide.process.temporal import connect
from tests.process.playing import Played, play_all


@pytest.fixture(scope="session")
async def temporal(engine: Running) -> Client:
    """A client that speaks our messages."""
    return await connect(engine.temporal_address, engine.namespace)


@pytest.fixture(scope="session")
async def played(temporal: Client) -> dict[str, Played | BaseException]:
    """What came of each scenario."""
    return await play_all(temporal)
