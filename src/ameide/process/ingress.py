"""Facts become signals. The one way that anything outside moves a workflow.

Ingress takes the facts of the log in order, each aggregate's therefore in order, and signals the workflow whose id
their envelope names. The effect lies outside the database, so the position follows it, facts may be signalled twice,
and deduplication is the workflow's.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Protocol, cast

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from ameide.contracts.facts import open_payload
from ameide.contracts.ids import parse_process_instance_id
from ameide.errors import AmeideError, NotFound, PermissionDenied, Unauthenticated, Unreachable
from ameide.events.messages import LoggedMessage
from ameide.faults import reach
from ameide.process.decisive import decisive
from ameide.process.steps import DOMAIN_FACT
from ameide.process.temporal import backoff, connect_patiently
from ameide.process.workflows.inbox import DomainFact
from ameide.rpc.clients import Clients
from ameide_core_proto.common.v1.metadata_pb import Scope
from ameide_core_proto.transformation.governance.v1.command_service_pb import CloseRunRequest
from ameide_core_proto.transformation.governance.v1.facts_pb import RunClosed, RunRequested
from ameide_core_proto.transformation.governance.v1.governance_pb import Run, RunStatus
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetChangeRequest, GetStatusRequest

log = logging.getLogger(__name__)

_BATCH = 100
_IDLE_SECONDS = 1.0
# Answers of Temporal to a signal that will be the same next time.
_REFUSALS = (RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.OUT_OF_RANGE)


class FactSource(Protocol):
    """The log as ingress reads it: in order, acknowledged after the effect, with a place for what it cannot process."""

    async def next_batch(self, limit: int = 100) -> list[LoggedMessage]:
        """The next messages, or none when there is nothing or another replica is active."""
        ...

    async def acknowledge(self, position: int) -> None:
        """This message and all before it had their effect or are parked."""
        ...

    def is_parked(self, key: str) -> bool:
        """Whether messages of this key must wait behind one that could not be processed."""
        ...

    async def park(self, message: LoggedMessage, key: str, error: str) -> None:
        """Set a message aside."""
        ...

    async def wait(self, seconds: float) -> None:
        """Until there may be more, at most so long."""
        ...


class Refusing(Exception):
    """The workflow cannot be signalled with this fact, now or later."""


class Ingress:
    """Brings each run its facts. `counts`: how many were signalled, started, late, skipped, parked, closed."""

    def __init__(self, source: FactSource, domain: Clients, address: str, namespace: str) -> None:
        self._source = source
        self._domain = domain
        self._address = address
        self._namespace = namespace
        self.counts: Counter[str] = Counter()

    async def run(self) -> None:
        """Work until cancelled."""
        temporal = await connect_patiently(self._address, self._namespace)
        attempt = 0
        while True:
            try:
                if not await self.step(temporal):
                    await self._source.wait(_IDLE_SECONDS)
                attempt = 0
            # Runs are served as a group of tasks, whose errors come as a group.
            except* AmeideError as errors:
                log.warning("ingress starts the batch again: %s", errors.exceptions[0])
                await backoff(attempt)
                attempt += 1

    async def step(self, temporal: Client) -> bool:
        """One batch; False when there was none. Runs are served side by side, the facts of each in the log's order."""
        batch = await self._source.next_batch(_BATCH)
        runs: dict[str, list[LoggedMessage]] = {}
        for message in batch:
            runs.setdefault(key_of(message), []).append(message)
        async with asyncio.TaskGroup() as tasks:
            for key, messages in runs.items():
                tasks.create_task(self._serve(temporal, key, messages))
        for message in batch:
            await self._source.acknowledge(message.position)
        return bool(batch)

    async def _serve(self, temporal: Client, key: str, messages: list[LoggedMessage]) -> None:
        for message in messages:
            if self._source.is_parked(key):
                await self._park(message, key, "behind an earlier one")
                continue
            try:
                outcome = await self._deliver(temporal, message)
            except (Refusing, ValueError, TypeError) as error:
                await self._park(message, key, str(error) or type(error).__name__)
            else:
                self.counts[outcome] += 1

    async def _park(self, message: LoggedMessage, key: str, error: str) -> None:
        log.error("parked %s of %s: %s", message.name, key, error, extra={"message_id": message.message_id})
        self.counts["parked"] += 1
        await self._source.park(message, key, error)

    async def _deliver(self, temporal: Client, message: LoggedMessage) -> str:
        """The effect of one message; tries for ever what may come right by itself. Raises Refusing."""
        fact = _fact_of(message)
        if fact is None:
            return "skipped"
        attempt = 0
        while True:
            try:
                return await self._signal(temporal, message, fact)
            except RPCError as error:
                if error.status in _REFUSALS:
                    raise Refusing(f"{message.process_instance_id} refuses the signal: {error}") from error
                log.warning("Temporal did not take a signal, trying again: %s", error)
            except AmeideError as error:
                if not (error.retry or isinstance(error, Unauthenticated | PermissionDenied)):
                    raise Refusing(f"The Domain's answer about {message.process_instance_id}: {error}") from error
                log.warning("the Domain did not answer, trying again: %s", error)
            await backoff(attempt)
            attempt += 1

    async def _signal(self, temporal: Client, message: LoggedMessage, fact: DomainFact) -> str:
        body = fact.fact.value if fact.fact is not None else None
        if isinstance(body, RunRequested) and body.run is not None:
            return await self._start(temporal, message, body.run, fact)
        try:
            handle = temporal.get_workflow_handle(message.process_instance_id)
            reach("ingress.signal.before")
            await handle.signal(DOMAIN_FACT, decisive(fact))
            reach("ingress.signal.after")
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
        else:
            return "signalled"
        if isinstance(body, RunClosed):
            return "late"
        run = await self._stored_run(message)
        if run is None:
            return "skipped"
        return await self._start(temporal, message, run, fact) if run.status == RunStatus.OPEN else "late"

    async def _start(self, temporal: Client, message: LoggedMessage, run: Run, fact: DomainFact) -> str:
        """SignalWithStart with the stored input: signals the workflow that runs, and never starts one twice."""
        try:
            reach("ingress.start.before")
            await temporal.start_workflow(
                run.workflow_type,
                run.input,
                id=message.process_instance_id,
                task_queue=run.task_queue,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                start_signal=DOMAIN_FACT,
                start_signal_args=[decisive(fact)],
            )
            reach("ingress.start.after")
        except WorkflowAlreadyStartedError:
            return await self._close(message)
        return "started"

    async def _close(self, message: LoggedMessage) -> str:
        """The workflow is over in Temporal: the run must not stay open without one."""
        run = await self._stored_run(message)
        if run is None or run.status != RunStatus.OPEN:
            return "late"
        await self._domain.governance.close_run(
            CloseRunRequest(
                scope=Scope(tenant_id=message.tenant_id),
                client_request_id=f"{message.process_instance_id}/ingress_close_run/1",
                process_instance_id=message.process_instance_id,
                status=RunStatus.FAILED,
                outcome="failed",
            )
        )
        return "closed"

    async def _stored_run(self, message: LoggedMessage) -> Run | None:
        """The run as the Domain states it at this place of the log or later; None when it knows no such run."""
        parsed = parse_process_instance_id(message.process_instance_id)
        if parsed is None:
            return None
        # "Unknown" counts only from a view that has come this far: the fact itself says that there is a run.
        run = await self._find_run(message, parsed[1])
        if run is None:
            await self._need_projected(message)
            run = await self._find_run(message, parsed[1])
        return run

    async def _find_run(self, message: LoggedMessage, change_id: str) -> Run | None:
        request = GetChangeRequest(
            scope=Scope(tenant_id=message.tenant_id), min_position=message.position, change_id=change_id
        )
        try:
            answer = await self._domain.queries.get_change(request)
        except NotFound:
            return None
        return next((run for run in answer.runs if run.process_instance_id == message.process_instance_id), None)

    async def _need_projected(self, message: LoggedMessage) -> None:
        """Raises Unreachable, to be tried again, while the views are behind this message."""
        status = await self._domain.queries.get_status(GetStatusRequest(scope=Scope(tenant_id=message.tenant_id)))
        reached = status.read_context.log_position if status.read_context else 0
        if reached < message.position:
            raise Unreachable(
                f"the views are at {reached}, {message.name} lies at {message.position}",
                remedy="Is the projector running? `ameide status` tells",
            )


def key_of(message: LoggedMessage) -> str:
    """What is parked together: one run, or the message's own key when it belongs to none."""
    if message.process_instance_id:
        return f"{message.tenant_id}:{message.process_instance_id}"
    return message.key


def _fact_of(message: LoggedMessage) -> DomainFact | None:
    """The domain fact of a run; None for anything else and for cases that this program does not know."""
    if message.kind != "fact" or parse_process_instance_id(message.process_instance_id) is None:
        return None
    try:
        opened = open_payload(message.topic, message.payload)
    except ValueError as error:
        raise Refusing(f"The payload of {message.message_id} cannot be read: {error}") from error
    if opened.fact is None:
        log.info("skipped an unknown fact", extra={"topic": message.topic, "message_id": message.message_id})
        return None
    # Topics of kind fact are those of the three Domain aggregators.
    return cast("DomainFact", opened.message)
