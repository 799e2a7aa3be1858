"""Every way through `r2r.governance.v1`, on a real Temporal server with the real activities."""

import asyncio

import pytest
from temporalio.client import Client

from tests.process.playing import MANY_HISTORIES, Played, play_all, took_its_course
from tests.process.scenarios import SCENARIOS

NAMES = [name for name in SCENARIOS if name not in MANY_HISTORIES]


@pytest.fixture(scope="module")
async def played(temporal: Client) -> dict[str, Played | BaseException]:
    """What came of each scenario."""
    return await play_all(temporal, NAMES)


@pytest.mark.parametrize("name", NAMES)
async def test_a_run_takes_its_course(name: str, played: dict[str, Played | BaseException]) -> None:
    took_its_course(name, played[name])


async def test_a_run_is_found_by_its_change(played: dict[str, Played | BaseException], temporal: Client) -> None:
    delivered = played["delivered"]
    assert isinstance(delivered, Played)
    query = f"AmeideChange = '{delivered.script.change_id}' AND AmeidePhase = 'terminal' AND AmeideTenant = 'default'"
    async with asyncio.timeout(30):
        # Visibility follows the history a little later.
        while not [item async for item in temporal.list_workflows(query)]:
            await temporal.count_workflows(query)
    (found,) = [item async for item in temporal.list_workflows(query)]
    assert (found.id, found.workflow_type) == (delivered.script.pid, "r2r.governance.v1")
