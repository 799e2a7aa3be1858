"""What ingress asks the Domain about runs, and the one thing that it tells it: that a run has lost its workflow."""

from __future__ import annotations

from ameide.contracts.ids import parse_process_instance_id
from ameide.errors import Conflict, NotFound, Unreachable
from ameide.rpc.clients import Clients
from ameide_core_proto.common.v1.metadata_pb import Scope
from ameide_core_proto.transformation.governance.v1.command_service_pb import CloseRunRequest
from ameide_core_proto.transformation.governance.v1.governance_pb import Run, RunStatus
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetChangeRequest, GetStatusRequest


class Runs:
    """The Domain's word on runs."""

    def __init__(self, domain: Clients) -> None:
        self._domain = domain

    async def find(self, tenant_id: str, process_instance_id: str, position: int) -> Run | None:
        """The run at this position of the log or later; None when the Domain knows no such run.

        Raises Unreachable, to be tried again, while the views are behind.
        """
        parsed = parse_process_instance_id(process_instance_id)
        if parsed is None:
            return None
        request = GetChangeRequest(scope=Scope(tenant_id=tenant_id), min_position=position, change_id=parsed[1])
        # "Unknown" counts only from a view that has come this far: a fact itself says that there is a run.
        run = await self._find(request, process_instance_id)
        if run is None and position:
            await self._need_projected(tenant_id, position)
            run = await self._find(request, process_instance_id)
        return run

    async def close(self, tenant_id: str, process_instance_id: str) -> None:
        """The run's workflow is over and has not closed it: it failed. A run that is closed already stays as it is."""
        request = CloseRunRequest(
            scope=Scope(tenant_id=tenant_id),
            client_request_id=f"{process_instance_id}/ingress_close_run/1",
            process_instance_id=process_instance_id,
            status=RunStatus.FAILED,
            outcome="failed",
        )
        try:
            await self._domain.governance.close_run(request)
        except Conflict:
            # Said before, under the name of another principal.
            return

    async def _find(self, request: GetChangeRequest, process_instance_id: str) -> Run | None:
        try:
            answer = await self._domain.queries.get_change(request)
        except NotFound:
            return None
        return next((run for run in answer.runs if run.process_instance_id == process_instance_id), None)

    async def _need_projected(self, tenant_id: str, position: int) -> None:
        status = await self._domain.queries.get_status(GetStatusRequest(scope=Scope(tenant_id=tenant_id)))
        reached = status.read_context.log_position if status.read_context else 0
        if reached < position:
            raise Unreachable(
                f"the views are at {reached}, the fact lies at {position}",
                remedy="Is the projector running? `ameide status` tells",
            )
