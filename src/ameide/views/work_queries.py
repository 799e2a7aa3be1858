"""WorkQueryService: delegated work from the projections, attempts and evidence from their own rows."""

from __future__ import annotations

from datetime import datetime

from connectrpc.request import RequestContext
from protobuf.wkt import Timestamp

from ameide.events.wakeups import Wakeups
from ameide.storage.db import Database, Row
from ameide.storage.sql import load
from ameide.views import paging
from ameide.views.changes import evidence_of
from ameide.views.reading import Filter, Reader, not_found
from ameide_core_proto.common.v1.reading_pb import CitationKind
from ameide_core_proto.transformation.work.v1.query_service_connect import WorkQueryService
from ameide_core_proto.transformation.work.v1.query_service_pb import (
    GetEvidenceRequest,
    GetEvidenceResponse,
    GetWorkRequest,
    GetWorkResponse,
    ListEvidenceRequest,
    ListEvidenceResponse,
    ListWorkRequest,
    ListWorkResponse,
    WorkAttempt,
)
from ameide_core_proto.transformation.work.v1.work_pb import EvidenceBundle, Usage, WorkRequest

_SQL = load("views")


class WorkQueries(WorkQueryService):
    """Implements `WorkQueryService`."""

    def __init__(self, db: Database, wakeups: Wakeups) -> None:
        self._reader = Reader(db, wakeups)

    async def list_work(
        self, request: ListWorkRequest, _ctx: RequestContext[ListWorkRequest, ListWorkResponse], /
    ) -> ListWorkResponse:
        async with self._reader.open(request.scope, request.min_position) as reading:
            narrowed = Filter.of(
                request.scope,
                change=request.change_id,
                run=request.process_instance_id,
                statuses=request.statuses,
            )
            works, token = await reading.page(WorkRequest, narrowed, request.page)
            return ListWorkResponse(
                read_context=reading.context, citations=reading.citations, works=works, next_page_token=token
            )

    async def get_work(
        self, request: GetWorkRequest, _ctx: RequestContext[GetWorkRequest, GetWorkResponse], /
    ) -> GetWorkResponse:
        async with self._reader.open(request.scope, request.min_position) as reading:
            work = await reading.get(WorkRequest, request.work_request_id)
            reading.cite(CitationKind.WORK_REQUEST, work.work_request_id)
            ids = [work.work_request_id]
            attempts = await reading.tx.fetch_all(_SQL["attempts"], {"works": ids})
            bundles = await evidence_of(reading, ids)
            return GetWorkResponse(
                read_context=reading.context,
                citations=reading.citations,
                work=work,
                attempts=[_attempt(row) for row in attempts],
                evidence=bundles.get(work.work_request_id),
            )

    async def get_evidence(
        self, request: GetEvidenceRequest, _ctx: RequestContext[GetEvidenceRequest, GetEvidenceResponse], /
    ) -> GetEvidenceResponse:
        async with self._reader.open(request.scope, request.min_position) as reading:
            row = await reading.tx.fetch_one(_SQL["get_evidence"], {"id": request.evidence_bundle_id})
            if row is None:
                raise not_found("evidence", request.evidence_bundle_id)
            reading.cite(CitationKind.EVIDENCE_BUNDLE, row["evidence_bundle_id"], row["position"])
            reading.cite(CitationKind.WORK_REQUEST, row["work_request_id"])
            bundle = EvidenceBundle.from_binary(row["body"])
            return GetEvidenceResponse(read_context=reading.context, citations=reading.citations, evidence=bundle)

    async def list_evidence(
        self, request: ListEvidenceRequest, _ctx: RequestContext[ListEvidenceRequest, ListEvidenceResponse], /
    ) -> ListEvidenceResponse:
        async with self._reader.open(request.scope, request.min_position) as reading:
            size = paging.size_of(request.page)
            parameters = {"change": request.change_id, "before": paging.before(request.page), "limit": size + 1}
            rows = await reading.tx.fetch_all(_SQL["list_evidence"], parameters)
            for row in rows[:size]:
                reading.cite(CitationKind.EVIDENCE_BUNDLE, row["evidence_bundle_id"], row["position"])
            return ListEvidenceResponse(
                read_context=reading.context,
                citations=reading.citations,
                bundles=[EvidenceBundle.from_binary(row["body"]) for row in rows[:size]],
                next_page_token=paging.encode(rows[size - 1]["position"]) if len(rows) > size else "",
            )


def _attempt(row: Row) -> WorkAttempt:
    return WorkAttempt(
        work_request_id=row["work_request_id"],
        attempt=row["attempt"],
        executor_principal_id=row["principal_id"],
        runner=row["runner"],
        claimed_at=_time(row["claimed_at"]),
        last_heartbeat_at=_time(row["last_heartbeat_at"]),
        ended_at=_time(row["ended_at"]),
        ended_by=row["ended_by"],
        heartbeats=row["heartbeats"],
        queue_wait_ms=row["queue_wait_ms"],
        log_tail=row["log_tail"],
        usage=Usage.from_binary(row["usage"]),
    )


def _time(at: datetime | None) -> Timestamp | None:
    return Timestamp.from_datetime(at) if at else None
