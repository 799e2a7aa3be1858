"""No run stays open without its workflow, whatever the end was refused for."""

import asyncio
from typing import cast

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import WorkflowIDReusePolicy

from ameide.process.endings import Endings
from ameide.process.steps import WORKFLOW_TYPE
from ameide.rpc.clients import Clients
from ameide_core_proto.transformation.governance.v1.governance_pb import RunStatus
from tests.process.arranging import ACC
from tests.process.playing import Stage, stage
from tests.process.script import WAIT, Script
from tests.process.town import Directory


class Town:
    """A script's run as the Domain's directory shows it, and who closes it."""

    def __init__(self, script: Script) -> None:
        script.run.workflow_type, script.run.task_queue, script.run.input = WORKFLOW_TYPE, "", script.input
        self.directory = Directory()
        self.directory.runs[script.pid] = script.run
        query = f"WorkflowId = '{script.pid}' AND ExecutionStatus IN ('Failed', 'Terminated')"
        self.endings = Endings(cast("Clients", self.directory), query=query)
        self.query = query

    async def shown(self, temporal: Client) -> None:
        """Visibility follows the history a little later."""
        async with asyncio.timeout(30):
            while not [found async for found in temporal.list_workflows(self.query)]:
                continue


async def waiting_run(here: Stage, name: str) -> Script:
    """A run that waits for its acceptance."""
    script = here.script(name, gitops=False)
    script.gates[ACC] = [WAIT]
    await here.start(script)
    await script.reached(lambda: ACC in script.waiting)
    return script


async def test_a_run_whose_end_is_refused_is_closed(temporal: Client) -> None:
    async with stage(temporal) as here:
        script = here.script("end-refused", gitops=False)
        script.refusals["close_run"] = ["SOME_RULE", "SOME_RULE"]
        handle = await here.start(script)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        assert [name for name, _ in script.commands].count("close_run") == 2
    town = Town(script)
    await town.shown(temporal)
    town.directory.silent_times = 1
    assert await town.endings.close(temporal) == 0, "the Domain did not answer"
    assert await town.endings.close(temporal) == 1
    (closed,) = town.directory.closed
    assert (closed.process_instance_id, closed.status) == (script.pid, RunStatus.FAILED)
    script.run.status = RunStatus.FAILED
    assert await town.endings.close(temporal) == 0
    asked = town.directory.asked
    assert await town.endings.close(temporal) == 0
    assert town.directory.asked == asked, "a run that is closed is looked at no more"


async def test_an_end_that_was_said_under_another_name_stands(temporal: Client) -> None:
    async with stage(temporal) as here:
        script = here.script("end-said", gitops=False)
        script.refusals["close_run"] = ["IDEMPOTENCY_KEY_REUSED"]
        handle = await here.start(script)
        assert await handle.result() == "merged"


async def test_a_terminated_run_is_closed_and_one_that_goes_on_is_not(temporal: Client) -> None:
    async with stage(temporal) as here:
        script = await waiting_run(here, "terminated")
        town = Town(script)
        await temporal.get_workflow_handle(script.pid).terminate("by an operator")
        await town.shown(temporal)
        again = await temporal.start_workflow(
            WORKFLOW_TYPE,
            script.input,
            id=script.pid,
            task_queue=here.task_queue,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        )
        assert await town.endings.close(temporal) == 0
        await again.terminate("by an operator")
        assert await town.endings.close(temporal) == 1
