"""The door for delegated work: who may say what. Requests run once per key; claims carry their own idempotency."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeVar

from connectrpc.request import RequestContext

from ameide.domain.commands import claims, uploads, work_requests
from ameide.domain.commands.gateway import Gateway
from ameide.domain.decisions.upload import FALLBACK_BOUNDS, Bounds
from ameide.domain.service import Service
from ameide.domain.unit import Unit
from ameide.events.wakeups import Wakeups
from ameide.rpc.interceptors import Caller, current_caller
from ameide.telemetry import metrics
from ameide_core_proto.transformation.work.v1 import command_service_pb as pb
from ameide_core_proto.transformation.work.v1.command_service_connect import WorkCommandService
from ameide_core_proto.transformation.work.v1.work_pb import WorkRequest

Claimed = TypeVar("Claimed", pb.PollWorkResponse, pb.RecordWorkStartedResponse)


class WorkCommands(WorkCommandService):
    """`lease_seconds` is how long a claim holds without a heartbeat, `bounds` how much an attempt may upload.

    Kafka carries the queues `elsewhere`.
    """

    def __init__(
        self,
        service: Service,
        wakeups: Wakeups,
        *,
        lease_seconds: float = claims.LEASE_SECONDS,
        bounds: Bounds = FALLBACK_BOUNDS,
        elsewhere: Collection[str] = (),
    ) -> None:
        self._service = service
        self._lease_seconds = lease_seconds
        self._bounds = bounds
        self._gateway = Gateway(service, wakeups, lease_seconds=lease_seconds, elsewhere=elsewhere)

    async def request_work(
        self, request: pb.RequestWorkRequest, _ctx: RequestContext[pb.RequestWorkRequest, pb.RequestWorkResponse]
    ) -> pb.RequestWorkResponse:
        caller = _requester()
        return await self._service.execute(
            caller, "RequestWork", request, pb.RequestWorkResponse, work_requests.request_work, asks_first=True
        )

    async def cancel_work(
        self, request: pb.CancelWorkRequest, _ctx: RequestContext[pb.CancelWorkRequest, pb.CancelWorkResponse]
    ) -> pb.CancelWorkResponse:
        caller = _requester()
        return await self._service.execute(
            caller, "CancelWork", request, pb.CancelWorkResponse, work_requests.cancel_work
        )

    async def poll_work(
        self, request: pb.PollWorkRequest, _ctx: RequestContext[pb.PollWorkRequest, pb.PollWorkResponse]
    ) -> pb.PollWorkResponse:
        return _counted(await self._gateway.poll(current_caller(), request))

    async def record_work_started(
        self,
        request: pb.RecordWorkStartedRequest,
        _ctx: RequestContext[pb.RecordWorkStartedRequest, pb.RecordWorkStartedResponse],
    ) -> pb.RecordWorkStartedResponse:
        async def handler(unit: Unit) -> pb.RecordWorkStartedResponse:
            return await claims.record_work_started(
                unit, request.work_request_id, request.claim_id, self._lease_seconds, request.runner
            )

        caller = current_caller()
        answer = _counted(await self._service.perform(caller, "RecordWorkStarted", request.scope, handler))
        if answer.work is not None:
            self._gateway.note_claim(caller, answer.work.queue)
        return answer

    async def record_work_heartbeat(
        self,
        request: pb.RecordWorkHeartbeatRequest,
        _ctx: RequestContext[pb.RecordWorkHeartbeatRequest, pb.RecordWorkHeartbeatResponse],
    ) -> pb.RecordWorkHeartbeatResponse:
        async def handler(unit: Unit) -> pb.RecordWorkHeartbeatResponse:
            return await claims.record_work_heartbeat(unit, request, self._lease_seconds)

        return await self._service.perform(current_caller(), "RecordWorkHeartbeat", request.scope, handler)

    async def record_work_outcome(
        self,
        request: pb.RecordWorkOutcomeRequest,
        _ctx: RequestContext[pb.RecordWorkOutcomeRequest, pb.RecordWorkOutcomeResponse],
    ) -> pb.RecordWorkOutcomeResponse:
        async def handler(unit: Unit) -> pb.RecordWorkOutcomeResponse:
            return await claims.record_work_outcome(unit, request)

        answer = await self._service.perform(current_caller(), "RecordWorkOutcome", request.scope, handler)
        if answer.work is not None and not answer.idempotent_replay:
            _measure(answer.work)
        return answer

    async def record_work_outcomes(
        self,
        request: pb.RecordWorkOutcomesRequest,
        _ctx: RequestContext[pb.RecordWorkOutcomesRequest, pb.RecordWorkOutcomesResponse],
    ) -> pb.RecordWorkOutcomesResponse:
        async def handler(unit: Unit) -> pb.RecordWorkOutcomesResponse:
            return await claims.record_work_outcomes(unit, request)

        return await self._service.perform(current_caller(), "RecordWorkOutcomes", request.scope, handler)

    async def release_work(
        self, request: pb.ReleaseWorkRequest, _ctx: RequestContext[pb.ReleaseWorkRequest, pb.ReleaseWorkResponse]
    ) -> pb.ReleaseWorkResponse:
        async def handler(unit: Unit) -> pb.ReleaseWorkResponse:
            return await claims.release_work(unit, request)

        return await self._service.perform(current_caller(), "ReleaseWork", request.scope, handler)

    async def open_evidence_upload(
        self,
        request: pb.OpenEvidenceUploadRequest,
        _ctx: RequestContext[pb.OpenEvidenceUploadRequest, pb.OpenEvidenceUploadResponse],
    ) -> pb.OpenEvidenceUploadResponse:
        async def handler(unit: Unit) -> pb.OpenEvidenceUploadResponse:
            return await uploads.open_evidence_upload(unit, request, self._bounds)

        return await self._service.perform(current_caller(), "OpenEvidenceUpload", request.scope, handler)


def _counted(answer: Claimed) -> Claimed:
    metrics.WORK_CLAIMS.labels(answer.answer.name.lower()).inc()
    return answer


def _measure(work: WorkRequest) -> None:
    if work.started_at is not None and work.ended_at is not None:
        took = work.ended_at.to_datetime() - work.started_at.to_datetime()
        labels = (work.action_kind.name.lower(), work.status.name.lower())
        metrics.WORK_DURATION.labels(*labels).observe(took.total_seconds())


def _requester() -> Caller:
    """Checked here as well as in the handler, which a replay does not reach."""
    caller = current_caller()
    caller.need(*work_requests.MAY_REQUEST)
    return caller
