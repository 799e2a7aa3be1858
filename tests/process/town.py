"""A log, runs and workflows that only listen: what tests of ingress are made of."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from copy import deepcopy
from datetime import UTC, datetime
from typing import cast

from protobuf import Message, Oneof
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import Worker

from ameide.contracts import topics
from ameide.contracts.ids import new_message_id
from ameide.errors import NotFound, Unreachable
from ameide.events.messages import LoggedMessage, MessageKind
from ameide.process.ingress import Ingress
from ameide.process.steps import DOMAIN_FACT
from ameide.process.workflows.inbox import DomainFact
from ameide.rpc.clients import Clients
from ameide_core_proto.common.v1.metadata_pb import AggregateRef, MessageMetadata, Scope
from ameide_core_proto.common.v1.reading_pb import ReadContext
from ameide_core_proto.transformation.governance.v1.command_service_pb import CloseRunRequest, CloseRunResponse
from ameide_core_proto.transformation.governance.v1.facts_pb import (
    ChangeBudgetSettled,
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
from ameide_core_proto.transformation.work.v1.facts_pb import (
    TransformationWorkDomainFact,
    WorkCompleted,
    WorkRequested,
    WorkStarted,
)
from tests.process.sandbox import sandbox

LISTENER = "listener"


@workflow.defn(name=LISTENER)
class Listener:
    """Stands in for a governance run: returns its change and the ids of what it heard, once that is three."""

    @workflow.init
    def __init__(self, run: RunInput) -> None:
        self._heard: list[str] = []

    @workflow.signal(name=DOMAIN_FACT)
    def domain_fact(self, fact: DomainFact) -> None:
        """As the real one: each message once."""
        assert fact.metadata is not None
        if fact.metadata.message_id not in self._heard:
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
        self.moved = asyncio.Event()
        self.caught_up = asyncio.Event()
        self.failing_times = 0
        self.waiting: list[tuple[str, str]] = []

    def append(
        self,
        fact: DomainFact | None,
        *,
        pid: str,
        topic: str = topics.GOVERNANCE_FACTS,
        kind: MessageKind = "fact",
        payload: bytes = b"",
        name: str = "",
    ) -> str:
        """The next message of the log; its id."""
        metadata = (fact.metadata if fact else None) or MessageMetadata(message_id=new_message_id())
        aggregate = (fact.aggregate if fact else None) or AggregateRef()
        self.messages.append(
            LoggedMessage(
                position=len(self.messages) + 1,
                tenant_id="default",
                topic=topic,
                kind=kind,
                key=f"default:{metadata.message_id}",
                message_id=metadata.message_id,
                name=name,
                aggregate_type=aggregate.type,
                aggregate_id=aggregate.id,
                aggregate_version=aggregate.version,
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
        assert position > self.position
        self.position = position
        self.moved.set()

    async def passed(self) -> None:
        """Until all messages are acknowledged."""
        while self.position < len(self.messages):
            self.moved.clear()
            await self.moved.wait()

    def is_parked(self, key: str) -> bool:
        return any(parked == key for parked, _, _ in self.parked)

    async def park(self, message: LoggedMessage, key: str, error: str, *, pause: float | None = None) -> None:
        if self.failing_times:
            self.failing_times -= 1
            raise Unreachable("the database is away")
        if pause is None:
            self.parked.append((key, message.message_id, error))
        else:
            self.waiting.append((key, message.message_id))

    async def due(self, limit: int = 100) -> list[LoggedMessage]:
        return []

    async def postpone(self, message: LoggedMessage, key: str, error: str, pause: float) -> None:
        raise AssertionError("nothing is due here")

    async def redrive(self, key: str) -> None:
        raise AssertionError("nothing is due here")

    async def release(self) -> None:
        """Nobody else wants to be active."""

    async def wait(self, seconds: float) -> None:
        self.caught_up.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
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

    def work(self, run: Run, version: int, fact: WorkRequested | WorkStarted | WorkCompleted) -> str:
        """A fact of the run's only work."""
        name = type(fact).__name__
        body: Oneof[str, Message] = Oneof(field=f"work_{name.removeprefix('Work').lower()}", value=fact)
        stated = TransformationWorkDomainFact(
            metadata=MessageMetadata(message_id=new_message_id(), process_instance_id=run.process_instance_id),
            aggregate=AggregateRef(type="work", id=f"wrk-{run.change_id}", version=version),
            fact=body,  # pyright: ignore[reportArgumentType]
        )
        return self.log.append(stated, pid=run.process_instance_id, topic=topics.WORK_FACTS, name=name)

    async def step(self) -> None:
        """All of the log."""
        while await self.ingress.step(self.temporal):
            pass
        assert self.log.position == len(self.log.messages)

    async def result(self, run: Run) -> list[str]:
        """What the run's workflow heard."""
        handle = self.temporal.get_workflow_handle(run.process_instance_id, result_type=list[str])
        return await handle.result()


@asynccontextmanager
async def listening(temporal: Client) -> AsyncGenerator[str]:
    queue = f"listener-{new_message_id()}"
    async with Worker(temporal, task_queue=queue, workflows=[Listener], workflow_runner=sandbox()):
        yield queue
