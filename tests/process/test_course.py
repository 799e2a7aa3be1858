"""Every way through `r2r.governance.v1`, on a real Temporal server with the real activities."""

import pytest

from tests.process.playing import Played
from tests.process.scenarios import SCENARIOS


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_run_takes_its_course(name: str, played: dict[str, Played | BaseException]) -> None:
    scenario, result = SCENARIOS[name], played[name]
    if isinstance(result, BaseException):
        raise result
    script = result.script
    assert (result.outcome, script.run.outcome, script.run.status) == (
        scenario.outcome,
        scenario.outcome,
        scenario.status,
    )
    scenario.check(script)
    keys = [key for _, key in script.commands]
    assert len(keys) == len(set(keys))
    assert all(key.startswith(f"{script.pid}/") for key in keys)
