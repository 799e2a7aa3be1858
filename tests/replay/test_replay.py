"""Every workflow change keeps replaying the recorded histories."""

from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from ameide.process.converter import DATA_CONVERTER
from ameide.process.workflows import GovernanceRun, TriageRun
from tests.process.sandbox import sandbox
from tests.process.scenarios import SCENARIOS
from tests.replay.record import HISTORIES, recorded


@pytest.mark.parametrize("path", sorted(HISTORIES.glob("*.json")), ids=lambda path: path.stem)
async def test_a_recorded_history_replays(path: Path) -> None:
    replayer = Replayer(workflows=[GovernanceRun, TriageRun], data_converter=DATA_CONVERTER, workflow_runner=sandbox())
    await replayer.replay_workflow(_history(path))


async def test_a_history_of_another_course_does_not_replay() -> None:
    history = _history(HISTORIES / "merged.1.json")
    for event in history.events:
        scheduled = event.activity_task_scheduled_event_attributes
        if scheduled.activity_type.name == "open_gate":
            scheduled.activity_type.name = "close_run"
    replayer = Replayer(workflows=[GovernanceRun, TriageRun], data_converter=DATA_CONVERTER, workflow_runner=sandbox())
    with pytest.raises(workflow.NondeterminismError):
        await replayer.replay_workflow(history)


@pytest.mark.parametrize("name", [name for name, scenario in SCENARIOS.items() if scenario.recorded])
def test_each_outcome_is_recorded(name: str) -> None:
    assert recorded(name), "Run `python -m tests.replay.record` and commit the histories."


def _history(path: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(path.stem, path.read_text(encoding="utf-8"))
