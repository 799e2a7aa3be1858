"""One fact on its way into Temporal: a signal to its run's workflow, which is started if the run is open and has none.

A fact of a run that is closed is late, and restarts nothing. Whether it is closed the Domain says, not Temporal, which
forgets closed workflows after a while.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import cast

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from ameide.contracts.facts import open_payload
from ameide.contracts.ids import parse_process_instance_id
from ameide.errors import AmeideError, PermissionDenied, Unauthenticated
from ameide.events.messages import LoggedMessage
from ameide.faults import reach
from ameide.process.decisive import continued
from ameide.process.runs import Runs
from ameide.process.steps import DOMAIN_FACT
from ameide.process.workflows.inbox import DomainFact
from ameide.rpc.clients import Clients
from ameide_core_proto.transformation.governance.v1.facts_pb import RunClosed, RunQueued, RunRequested
from ameide_core_proto.transformation.governance.v1.governance_pb import Run, RunStatus

log = logging.getLogger(__name__)

# Answers of Temporal to a signal that will be the same next time.
_REFUSALS = (RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.OUT_OF_RANGE)
# Temporal's own bound of one signal. What passes the transport's bound is answered as if the server were only busy.
_MAX_BYTES = 2 * 1024 * 1024


# Temporal keeps a closed workflow for a day at the least.
_REMEMBERED = timedelta(hours=12)


class Refusing(Exception):
    """The workflow cannot be signalled with this fact, now or later."""


class NotNow(Exception):
    """Temporal or the Domain did not take it; the same call may succeed later."""


class Signals:
    """The effect of a fact. `domain` is asked only about runs that Temporal does not know."""

    def __init__(self, domain: Clients) -> None:
        self._runs = Runs(domain)

    async def deliver(self, temporal: Client, message: LoggedMessage) -> str:
        """Once more is once too often for nobody: workflows know what they have heard.

        Returns what became of it: signalled, started, late, closed, or skipped when it concerns no run. Raises Refusing
        and NotNow.
        """
        try:
            fact = _fact_of(message)
            if fact is None:
                return "skipped"
            with continued(message, fact) as lean:
                return await self._signal(temporal, message, lean, fact)
        except RPCError as error:
            too_large = error.status == RPCStatusCode.RESOURCE_EXHAUSTED and len(message.payload) > _MAX_BYTES
            if too_large or error.status in _REFUSALS:
                raise Refusing(f"{message.process_instance_id} refuses the signal: {error}") from error
            raise NotNow(f"Temporal: {error}") from error
        except AmeideError as error:
            if error.retry or isinstance(error, Unauthenticated | PermissionDenied):
                raise NotNow(f"The Domain: {error}") from error
            raise Refusing(f"The Domain's answer about {message.process_instance_id}: {error}") from error
        except (ValueError, TypeError) as error:
            raise Refusing(str(error) or type(error).__name__) from error

    async def _signal(self, temporal: Client, message: LoggedMessage, lean: DomainFact, fact: DomainFact) -> str:
        body = fact.fact.value if fact.fact is not None else None
        if isinstance(body, RunRequested) and body.run is not None:
            if _is_old(message):
                # Temporal may have forgotten a workflow that came and went since.
                run = await self._stored_run(message)
                if run.status != RunStatus.OPEN:
                    return "late"
            return await self._start(temporal, message, body.run, lean)
        try:
            handle = temporal.get_workflow_handle(message.process_instance_id)
            reach("ingress.signal.before")
            await handle.signal(DOMAIN_FACT, lean)
            reach("ingress.signal.after")
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
        else:
            return "signalled"
        if isinstance(body, RunClosed):
            return "late"
        run = await self._stored_run(message)
        return await self._start(temporal, message, run, lean) if run.status == RunStatus.OPEN else "late"

    async def _start(self, temporal: Client, message: LoggedMessage, run: Run, lean: DomainFact) -> str:
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
                start_signal_args=[lean],
            )
            reach("ingress.start.after")
        except WorkflowAlreadyStartedError:
            return await self._close(message)
        return "started"

    async def _close(self, message: LoggedMessage) -> str:
        """The workflow is over in Temporal: the run must not stay open without one."""
        run = await self._stored_run(message)
        if run.status != RunStatus.OPEN:
            return "late"
        reach("ingress.close_run.before")
        await self._runs.close(message.tenant_id, message.process_instance_id)
        reach("ingress.close_run.after")
        return "closed"

    async def _stored_run(self, message: LoggedMessage) -> Run:
        """The run as the Domain states it at this place of the log or later. Raises NotNow when it shows none."""
        run = await self._runs.find(message.tenant_id, message.process_instance_id, message.position)
        if run is None:
            # The fact itself says that there is a run: the projector has set its request aside.
            raise NotNow(f"the views do not show {message.process_instance_id} yet")
        return run


def _is_old(message: LoggedMessage) -> bool:
    return message.redriven or datetime.now(UTC) - message.occurred_at > _REMEMBERED


def _fact_of(message: LoggedMessage) -> DomainFact | None:
    """The domain fact of a run; None for anything else and for cases that this program does not know."""
    if message.kind != "fact" or parse_process_instance_id(message.process_instance_id) is None:
        return None
    try:
        opened = open_payload(message.topic, message.payload)
    except ValueError as error:
        raise Refusing(f"The payload of {message.message_id} cannot be read: {error}") from error
    if isinstance(opened.fact, RunQueued):
        # It has no workflow before it is requested.
        return None
    if opened.fact is None:
        log.info("skipped an unknown fact", extra={"topic": message.topic, "message_id": message.message_id})
        return None
    # Topics of kind fact are those of the three Domain aggregators.
    return cast("DomainFact", opened.message)
