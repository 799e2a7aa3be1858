"""A trace through a workflow that knows nothing of it: by signal, to activities, through Continue-As-New."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker

from ameide.process.converter import DATA_CONVERTER
from ameide.process.propagation import TracePropagation
from ameide.telemetry import tracing
from ameide_core_proto.common.v1.metadata_pb import MessageMetadata
from ameide_core_proto.transformation.work.v1.facts_pb import TransformationWorkDomainFact

FIRST, SECOND = (f"00-{digit * 32}-{digit * 16}-01" for digit in "ab")


@activity.defn(name="whose")
async def whose() -> str:
    """The trace that the activity belongs to."""
    return tracing.current().traceparent


@workflow.defn(name="carrier")
class Carrier:
    """Asks whose trace it is in after each of two signals, and once more after Continue-As-New."""

    def __init__(self) -> None:
        self._arrived = 0

    @workflow.signal(name="fact")
    def fact(self, fact: TransformationWorkDomainFact) -> None:
        """Counted, not looked at."""
        del fact
        self._arrived += 1

    @workflow.run
    async def run(self, seen: list[str]) -> list[str]:
        """The traces, in order."""
        if not seen:
            for number in (1, 2):
                await workflow.wait_condition(lambda number=number: self._arrived >= number)
                seen.append(await self._ask())
            workflow.continue_as_new(seen)
        return [*seen, await self._ask()]

    async def _ask(self) -> str:
        return await workflow.execute_activity(whose, start_to_close_timeout=timedelta(seconds=10))


def fact(traceparent: str) -> TransformationWorkDomainFact:
    """A fact whose envelope names a trace, or none."""
    return TransformationWorkDomainFact(metadata=MessageMetadata(traceparent=traceparent))


async def test_activities_go_on_with_the_newest_trace_that_a_signal_brought(temporal: Client) -> None:
    queue = f"propagation-{uuid.uuid4()}"
    worker = Worker(
        temporal,
        task_queue=queue,
        workflows=[Carrier],
        activities=[whose],
        workflow_runner=UnsandboxedWorkflowRunner(),
        interceptors=[TracePropagation()],
    )
    async with worker, asyncio.timeout(60):
        nothing: list[str] = []
        run = await temporal.start_workflow(
            "carrier", nothing, id=queue, task_queue=queue, start_signal="fact", start_signal_args=[fact(FIRST)]
        )
        first_run = run.first_execution_run_id
        await run.signal("fact", fact(SECOND))
        seen: list[str] = await run.result()
        history = await temporal.get_workflow_handle(queue, run_id=first_run).fetch_history()
    assert set(seen) <= {FIRST, SECOND}
    # The second signal may have come before the first activity; whatever comes later is of its trace.
    assert seen[1:] == [SECOND, SECOND]
    for interceptors in ([TracePropagation()], []):
        replayer = Replayer(
            workflows=[Carrier],
            data_converter=DATA_CONVERTER,
            workflow_runner=UnsandboxedWorkflowRunner(),
            interceptors=interceptors,
        )
        await replayer.replay_workflow(history)
