"""Ingress on a real Temporal server: facts of a log become signals, workflows start once, nothing is lost or stuck."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from copy import deepcopy
from datetime import UTC, datetime
from typing import cast

import pytest
from protobuf import Message, Oneof
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import Worker

from ameide.contracts import topics
from ameide.contracts.ids import new_message_id
from ameide.errors import NotFound, Unreachable
from ameide.events.messages import LoggedMessage, MessageKind
from ameide.process.converter import sandbox
from ameide.process.ingress import Ingress
from ameide.process.steps import DOMAIN_FACT
from ameide.process.workflows.inbox import DomainFact
from ameide.rpc.clients import Clients
from ameide_core_proto.common.v1.metadata_pb import AggregateRef, MessageMetadata, Scope
from ameide_core_proto.common.v1.reading_pb import ReadContext
from ameide_core_proto.transformation.governance.v1.command_service_pb import CloseRunRequest, CloseRunResponse
from ameide_core_proto.transformation.governance.v1.facts_pb import (
    ChangeBudgetSettled,
    RunClosed,
    RunRequested,
    TransformationGovernanceDomainFact,
)
from ameide_core_proto.transformation.governance.v1.governance_pb import Change, Run, RunInput, RunStatus
from ameide_core_proto.transformation.governance.v1.query_service_pb import (
    GetChangeRequest,
    GetChangeResponse,
    GetStatusRequest,
    GetStatusResponse,
)
from tests.process.playing import stage

LISTENER = "listener"


@workflow.defn(name=LISTENER)
class Listener:
    """Stands in for a governance run: returns its change and the ids of what it heard, once that is three."""

    @workflow.init
    def __init__(self, run: RunInput) -> None:
        self._heard: list[str] = []

    @workflow.signal(name=DOMAIN_FACT)
    def domain_fact(self, fact: DomainFact) -> None:
        """As the real one."""
        assert fact.metadata is not None
        self._heard.append(fact.metadata.message_id)

    @workflow.run
    async def run(self, run: RunInput) -> list[str]:
        """The change's id, then the ids of the messages."""
        await workflow.wait_condition(lambda: len(self._heard) >= 3)
        return [run.change_id, *self._heard]


class Log:
    """A fact source in memory: a double of the consumer that `ameide.events` offers."""

    def __init__(self) -> None:
        self.messages: list[LoggedMessage] = []
        self.position = 0
        self.parked: list[tuple[str, str, str]] = []
        self.more = asyncio.Event()
        self.caught_up = asyncio.Event()
        self.failing_times = 0

    def append(
        self,
        fact: DomainFact | None,
        *,
        pid: str,
        topic: str = topics.GOVERNANCE_FACTS,
        kind: MessageKind = "fact",
        payload: bytes = b"",
    ) -> str:
        """The next message of the log; its id."""
        metadata = (fact.metadata if fact else None) or MessageMetadata(message_id=new_message_id())
        self.messages.append(
            LoggedMessage(
                position=len(self.messages) + 1,
                tenant_id="default",
                topic=topic,
                kind=kind,
                key=f"default:{metadata.message_id}",
                message_id=metadata.message_id,
                name="",
                aggregate_type="",
                aggregate_id="",
                aggregate_version=0,
                process_instance_id=pid,
                correlation_id="",
                causation_id="",
                work_request_id="",
                occurred_at=datetime.now(UTC),
                payload=fact.to_binary() if fact else payload,
            )
        )
        self.more.set()
        return metadata.message_id

    async def next_batch(self, limit: int = 100) -> list[LoggedMessage]:
        return self.messages[self.position : self.position + limit]

    async def acknowledge(self, position: int) -> None:
        assert position == self.position + 1
        self.position = position

    def is_parked(self, key: str) -> bool:
        return any(parked == key for parked, _, _ in self.parked)

    async def park(self, message: LoggedMessage, key: str, error: str) -> None:
        if self.failing_times:
            self.failing_times -= 1
            raise Unreachable("the database is away")
        self.parked.append((key, message.message_id, error))

    async def wait(self, seconds: float) -> None:
        self.caught_up.set()
        await self.more.wait()
        self.more.clear()


class Directory:
    """What the Domain says of runs, in memory: a double of its clients."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.closed: list[CloseRunRequest] = []
        self.asked = 0
        self.silent_times = 0
        self.behind_times = 0

    @property
    def queries(self) -> "Directory":
        return self

    @property
    def governance(self) -> "Directory":
        return self

    async def get_change(self, request: GetChangeRequest) -> GetChangeResponse:
        self.asked += 1
        if self.silent_times:
            self.silent_times -= 1
            raise Unreachable("nobody answers")
        assert request.min_position > 0
        if self.behind_times:
            raise NotFound("no such change yet")
        runs = [run for run in self.runs.values() if run.change_id == request.change_id]
        if not runs:
            raise NotFound("no such change")
        return GetChangeResponse(runs=runs)

    async def get_status(self, _request: GetStatusRequest) -> GetStatusResponse:
        behind = self.behind_times > 0
        self.behind_times = max(0, self.behind_times - 1)
        return GetStatusResponse(read_context=ReadContext(log_position=0 if behind else 10**9))

    async def close_run(self, request: CloseRunRequest) -> CloseRunResponse:
        self.closed.append(request)
        return CloseRunResponse()


class Town:
    """A log, a directory and an ingress between them and Temporal."""

    def __init__(self, temporal: Client, task_queue: str) -> None:
        self.temporal = temporal
        self.task_queue = task_queue
        self.log = Log()
        self.directory = Directory()
        address = temporal.service_client.config.target_host
        self.ingress = Ingress(self.log, cast("Clients", self.directory), address, temporal.namespace)

    def run(self, status: RunStatus = RunStatus.OPEN) -> Run:
        """A run that the Domain knows."""
        change_id = f"chg-{new_message_id()[-12:]}"
        pid = f"r2r/default/{change_id}/1"
        run = Run(
            scope=Scope(tenant_id="default"),
            process_instance_id=pid,
            change_id=change_id,
            number=1,
            status=status,
            workflow_type=LISTENER,
            task_queue=self.task_queue,
            input=RunInput(process_instance_id=pid, change_id=change_id),
        )
        self.directory.runs[pid] = run
        return run

    def requested(self, run: Run) -> str:
        """RunRequested in the log."""
        return self.state(run, RunRequested(run=deepcopy(run)), "run_requested")

    def other(self, run: Run) -> str:
        """Any other fact of the run."""
        return self.state(run, ChangeBudgetSettled(change=Change(change_id=run.change_id)), "change_budget_settled")

    def state(self, run: Run, fact: Message, field: str) -> str:
        body: Oneof[str, Message] = Oneof(field=field, value=fact)
        stated = TransformationGovernanceDomainFact(
            metadata=MessageMetadata(message_id=new_message_id(), process_instance_id=run.process_instance_id),
            aggregate=AggregateRef(type="any", id=run.change_id, version=1),
            fact=body,  # pyright: ignore[reportArgumentType]
        )
        return self.log.append(stated, pid=run.process_instance_id)

    async def step(self) -> None:
        """All of the log."""
        while await self.ingress.step(self.temporal):
            pass
        assert self.log.position == len(self.log.messages)

    async def result(self, run: Run) -> list[str]:
        """What the run's workflow heard."""
        handle = self.temporal.get_workflow_handle(run.process_instance_id, result_type=list[str])
        return await handle.result()


@pytest.fixture
async def town(temporal: Client) -> AsyncGenerator[Town]:
    async with listening(temporal) as queue:
        yield Town(temporal, queue)


@asynccontextmanager
async def listening(temporal: Client) -> AsyncGenerator[str]:
    queue = f"listener-{new_message_id()}"
    async with Worker(temporal, task_queue=queue, workflows=[Listener], workflow_runner=sandbox()):
        yield queue


async def test_a_run_is_started_with_its_stored_input_and_hears_its_facts_in_order(town: Town) -> None:
    first, second = town.run(), town.run()
    heard = {run.process_instance_id: [run.change_id] for run in (first, second)}
    for run in (first, second):
        heard[run.process_instance_id].append(town.requested(run))
    for run in (second, first, first, second):
        heard[run.process_instance_id].append(town.other(run))
    await town.step()
    assert await town.result(first) == heard[first.process_instance_id]
    assert await town.result(second) == heard[second.process_instance_id]
    assert town.ingress.counts == {"started": 2, "signalled": 4}
    assert town.directory.asked == 0


async def test_a_repeated_start_signals_the_workflow_that_runs(town: Town) -> None:
    run = town.run()
    ids = [town.requested(run) for _ in range(3)]
    await town.step()
    assert await town.result(run) == [run.change_id, *ids]


async def test_a_fact_of_a_closed_run_is_late(town: Town) -> None:
    run = town.run(RunStatus.COMPLETED)
    town.other(run)
    town.state(run, RunClosed(run=run), "run_closed")
    await town.step()
    assert town.ingress.counts == {"late": 2}


async def test_an_open_run_without_a_workflow_gets_one(town: Town) -> None:
    run = town.run()
    ids = [town.other(run) for _ in range(3)]
    await town.step()
    assert await town.result(run) == [run.change_id, *ids]
    assert town.ingress.counts == {"started": 1, "signalled": 2}


async def test_an_open_run_whose_workflow_is_over_is_closed(town: Town) -> None:
    run = town.run()
    for _ in range(3):
        town.other(run)
    await town.step()
    await town.result(run)
    town.other(run)
    await town.step()
    (closed,) = town.directory.closed
    assert (closed.process_instance_id, closed.status) == (run.process_instance_id, RunStatus.FAILED)
    assert town.ingress.counts["closed"] == 1


async def test_what_concerns_no_run_or_is_unknown_is_skipped(town: Town) -> None:
    run = town.run()
    town.log.append(None, pid="")
    town.log.append(None, pid=run.process_instance_id, kind="process_fact", topic=topics.PROCESS_FACTS)
    unknown = TransformationGovernanceDomainFact(metadata=MessageMetadata(message_id="m"))
    town.log.append(unknown, pid=run.process_instance_id)
    stranger = town.run()
    town.directory.runs.clear()
    town.other(stranger)
    await town.step()
    assert town.ingress.counts == {"skipped": 4}


async def test_a_fact_that_cannot_be_read_parks_its_run_and_no_other(town: Town) -> None:
    run, other = town.run(), town.run()
    broken = town.log.append(None, pid=run.process_instance_id, payload=b"\xff\xff")
    behind = town.other(run)
    for _ in range(3):
        town.other(other)
    await town.step()
    await town.result(other)
    key = f"default:{run.process_instance_id}"
    assert [(parked, message_id) for parked, message_id, _ in town.log.parked] == [(key, broken), (key, behind)]
    assert broken in town.log.parked[0][2]


async def test_a_database_that_fails_while_parking_is_tried_again(town: Town) -> None:
    run = town.run()
    town.log.append(None, pid=run.process_instance_id, payload=b"\xff\xff")
    town.log.failing_times = 1
    working = asyncio.create_task(town.ingress.run())
    try:
        async with asyncio.timeout(20):
            await town.log.caught_up.wait()
    finally:
        working.cancel()
    assert len(town.log.parked) == 1
    assert not town.log.failing_times


async def test_a_domain_that_does_not_answer_is_asked_again(town: Town) -> None:
    run = town.run()
    town.directory.silent_times = 2
    for _ in range(3):
        town.other(run)
    await town.step()
    await town.result(run)
    assert town.directory.asked == 3
    assert not town.log.parked


async def test_a_view_that_is_behind_hides_no_run(town: Town) -> None:
    run = town.run()
    town.directory.behind_times = 2
    for _ in range(3):
        town.other(run)
    await town.step()
    await town.result(run)
    assert town.ingress.counts == {"started": 1, "signalled": 2}


async def test_a_whole_run_by_way_of_the_log(temporal: Client) -> None:
    async with stage(temporal) as here:
        script = here.script("by-log", gitops=False)
        town = Town(temporal, here.task_queue)

        async def log(fact: DomainFact) -> None:
            topic = next(
                topic
                for topic in topics.FACT_TOPICS
                if type(fact).__name__ == f"Transformation{topic.split('.')[1].title()}DomainFact"
            )
            town.log.append(fact, pid=script.pid, topic=topic)

        script.deliver = log
        run = script.run
        run.workflow_type, run.task_queue, run.input = "r2r.governance.v1", here.task_queue, script.input
        town.directory.runs[script.pid] = run
        town.requested(run)

        async def forever() -> None:
            while True:
                await town.ingress.step(temporal)
                await town.log.wait(1)

        ingress = asyncio.create_task(forever())
        await script.reached(lambda: script.run.status != RunStatus.OPEN)
        handle = temporal.get_workflow_handle(script.pid, result_type=str)
        assert await handle.result() == "merged"
        ingress.cancel()
    assert script.steps == ["preflight", "scaffold", "generate", "coder", "verify", "merge_prepare", "merge_push"]
