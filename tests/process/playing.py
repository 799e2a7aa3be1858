"""Plays scenarios on a Temporal server: one worker with the real activities on the scripted Domain."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

from temporalio.client import Client, WorkflowHandle, WorkflowHistory

from ameide.contracts.ids import new_message_id
from ameide.process.activities import DomainCommands
from ameide.process.worker import governance_worker
from ameide.rpc.clients import Clients
from tests.process.sandbox import sandbox
from tests.process.scenarios import SCENARIOS, Scenario
from tests.process.script import Script
from tests.process.scripted_domain import ScriptedDomain

MANY_HISTORIES = ("thousand_signals", "stuck_work_late")
"""Scenarios whose histories are read as well; they are played apart from the others."""

PATIENCE_SECONDS = 120
AT_ONCE = 10


@dataclass
class Played:
    """How a scenario went."""

    script: Script
    outcome: str
    handle: WorkflowHandle[object, str]


async def histories(played: Played) -> AsyncGenerator[WorkflowHistory]:
    """The histories of a run from its first on, along Continue-As-New."""
    run_id = played.handle.first_execution_run_id
    while run_id:
        handle = played.script.client.get_workflow_handle(played.script.pid, run_id=run_id)
        history = await handle.fetch_history()
        yield history
        run_id = history.events[-1].workflow_execution_continued_as_new_event_attributes.new_execution_run_id


@asynccontextmanager
async def stage(client: Client) -> AsyncGenerator["Stage"]:
    """A worker on a task queue of its own."""
    domain = ScriptedDomain()
    queue = f"scenarios-{new_message_id()}"
    # The double answers what the activities call; it is no client.
    async with governance_worker(client, DomainCommands(cast("Clients", domain)), task_queue=queue, runner=sandbox()):
        yield Stage(client, domain, queue)


class Stage:
    """Where scenarios are played."""

    def __init__(self, client: Client, domain: ScriptedDomain, task_queue: str) -> None:
        self.client = client
        self.domain = domain
        self.task_queue = task_queue

    def script(self, name: str, *, gitops: bool = True) -> Script:
        """A new run that the scripted Domain knows."""
        script = Script(name.replace("_", "-"), self.client, gitops=gitops)
        self.domain.scripts[script.pid] = script
        return script

    async def start(self, script: Script) -> WorkflowHandle[object, str]:
        """Start the run's workflow with its stored input."""
        return await self.client.start_workflow(
            script.workflow_type, script.input, id=script.pid, task_queue=self.task_queue, result_type=str
        )

    async def play(self, name: str, scenario: Scenario) -> Played:
        """One scenario to its end."""
        script = self.script(name, gitops=scenario.gitops)
        scenario.arrange(script)
        handle = await self.start(script)
        async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
            if scenario.meanwhile:
                tasks.create_task(_run(scenario, script))
            outcome = await handle.result()
        return Played(script, outcome, handle)


async def _run(scenario: Scenario, script: Script) -> None:
    assert scenario.meanwhile is not None
    await scenario.meanwhile(script)


def took_its_course(name: str, result: Played | BaseException) -> Played:
    """Check what came of a scenario, and give it."""
    scenario = SCENARIOS[name]
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
    return result


async def play_all(client: Client, names: Sequence[str]) -> dict[str, Played | BaseException]:
    """The scenarios of these names, some side by side."""
    places = asyncio.Semaphore(AT_ONCE)
    async with stage(client) as here:

        async def one(name: str, scenario: Scenario) -> Played:
            async with places:
                return await here.play(name, scenario)

        played = await asyncio.gather(*(one(name, SCENARIOS[name]) for name in names), return_exceptions=True)
    return dict(zip(names, played, strict=True))
