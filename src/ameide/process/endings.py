"""A run must not stay open without its workflow: what Temporal says has ended badly is closed in the Domain.

A workflow ends well only after the Domain has closed its run. One that failed, e.g. since its end was refused, or that
somebody terminated, leaves its run open, and perhaps no fact comes any more that would show it.
"""

from __future__ import annotations

import logging

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError

from ameide.contracts.ids import parse_process_instance_id
from ameide.errors import AmeideError
from ameide.process.runs import Runs
from ameide.process.steps import TRIAGE_WORKFLOW_TYPE, WORKFLOW_TYPE
from ameide.rpc.clients import Clients
from ameide_core_proto.transformation.governance.v1.governance_pb import RunStatus

log = logging.getLogger(__name__)

_TYPES = f"WorkflowType IN ('{WORKFLOW_TYPE}', '{TRIAGE_WORKFLOW_TYPE}')"
_ENDED_BADLY = f"{_TYPES} AND ExecutionStatus IN ('Failed', 'Terminated', 'TimedOut', 'Canceled')"
_BAD = (
    WorkflowExecutionStatus.FAILED,
    WorkflowExecutionStatus.TERMINATED,
    WorkflowExecutionStatus.TIMED_OUT,
    WorkflowExecutionStatus.CANCELED,
)


class Endings:
    """Looks at the workflows that ended badly, each until its run is known to be closed."""

    def __init__(self, domain: Clients, *, query: str = _ENDED_BADLY) -> None:
        self._runs = Runs(domain)
        self._query = query
        # As many as ended badly within Temporal's retention, which forgets them together with it.
        self._settled: set[str] = set()

    async def close(self, temporal: Client) -> int:
        """Close the runs that are open without a workflow; returns how many. What fails is tried the next time."""
        seen: set[str] = set()
        closed = 0
        try:
            async for execution in temporal.list_workflows(self._query):
                if execution.id not in seen | self._settled:
                    closed += await self._settle(temporal, execution.id)
                seen.add(execution.id)
        except RPCError as error:
            log.warning("Temporal does not tell which workflows ended: %s", error)
            return closed
        self._settled &= seen
        return closed

    async def _settle(self, temporal: Client, process_instance_id: str) -> bool:
        """Close one run if that is due; whether it was. What needs no second look is remembered."""
        parsed = parse_process_instance_id(process_instance_id)
        if parsed is None:
            self._settled.add(process_instance_id)
            return False
        try:
            run = await self._runs.find(parsed[0], process_instance_id, 0)
            if run is None:
                return False
            if run.status != RunStatus.OPEN:
                self._settled.add(process_instance_id)
                return False
            latest = await temporal.get_workflow_handle(process_instance_id).describe()
            if latest.status not in _BAD:
                # It was reset by an operator, and goes on.
                return False
            await self._runs.close(parsed[0], process_instance_id)
        # ValueError: a status that this client does not know.
        except (AmeideError, RPCError, ValueError) as error:
            log.error("%s has lost its workflow and could not be closed: %s", process_instance_id, error)
            return False
        log.warning("closed %s, whose workflow had ended without it", process_instance_id)
        return True
