"""GovernanceQueryService: repositories, changes, gates, artifacts, releases, promotions, the timeline and the audit."""

from __future__ import annotations

from typing import Any

from connectrpc.request import RequestContext

from ameide.events.archived import ArchivedLog
from ameide.events.wakeups import Wakeups
from ameide.storage.db import Database
from ameide.views.audit import audit, body_of, find_fact, status
from ameide.views.budget import tenant_budget
from ameide.views.changes import artifact, cite_artifact, summaries, whole_change
from ameide.views.conversations import marked, own_consent, whole_conversation
from ameide.views.reading import Filter, Reader, Reading
from ameide.views.releases import environments, promotions_of, promotions_page
from ameide.views.timeline import timeline
from ameide.views.work_queries import WorkQueries
from ameide_core_proto.transformation.governance.v1 import query_service_pb as q
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    Change,
    Conversation,
    Gate,
    Promotion,
    Release,
    Repository,
)
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind, Policy
from ameide_core_proto.transformation.governance.v1.query_service_connect import GovernanceQueryService
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact

__all__ = ["GovernanceQueries", "WorkQueries"]


class GovernanceQueries(GovernanceQueryService):
    """Implements `GovernanceQueryService`. Each method reads in one transaction of the caller's tenant.

    `db` is of the application role; `wakeups` tell when the projector has moved on; `archived` has the messages that
    left the log.
    """

    def __init__(self, db: Database, wakeups: Wakeups, archived: ArchivedLog) -> None:
        self._reader = Reader(db, wakeups)
        self._archived = archived

    async def list_repositories(
        self,
        request: q.ListRepositoriesRequest,
        _ctx: RequestContext[q.ListRepositoriesRequest, q.ListRepositoriesResponse],
        /,
    ) -> q.ListRepositoriesResponse:
        async with self._reader.open(request.scope, request.min_position) as reading:
            found, token = await reading.page(Repository, Filter.of(request.scope), request.page)
            return q.ListRepositoriesResponse(
                read_context=reading.context, citations=reading.citations, repositories=found, next_page_token=token
            )

    async def get_repository(
        self, request: q.GetRepositoryRequest, _ctx: RequestContext[q.GetRepositoryRequest, q.GetRepositoryResponse], /
    ) -> q.GetRepositoryResponse:
        async with self._reader.open(request.scope, request.min_position) as reading:
            repository = await reading.get(Repository, request.repository_id)
            policy = await reading.find(Policy, request.repository_id)
            return q.GetRepositoryResponse(
                read_context=reading.context, citations=reading.citations, repository=repository, policy=policy
            )

    async def list_changes(
        self, request: q.ListChangesRequest, _ctx: RequestContext[q.ListChangesRequest, q.ListChangesResponse], /
    ) -> q.ListChangesResponse:
        async with self._reader.open(request.scope, request.min_position) as reading:
            narrowed = Filter.of(request.scope, repository=request.repository_id, statuses=request.statuses)
            found, token = await reading.page(Change, narrowed, request.page)
            changes = await summaries(reading, found)
            return q.ListChangesResponse(
                read_context=reading.context, citations=reading.citations, changes=changes, next_page_token=token
            )

    async def get_change(
        self, request: q.GetChangeRequest, _ctx: RequestContext[q.GetChangeRequest, q.GetChangeResponse], /
    ) -> q.GetChangeResponse:
        async with self._reader.open(request.scope, request.min_position) as reading:
            answer = await whole_change(reading, request.change_id)
            answer.read_context, answer.citations = reading.context, reading.citations
            return answer

    async def get_timeline(
        self, request: q.GetTimelineRequest, _ctx: RequestContext[q.GetTimelineRequest, q.GetTimelineResponse], /
    ) -> q.GetTimelineResponse:
        async with self._reader.open(request.scope, request.min_position) as reading:
            rows, token = await timeline(reading, request.change_id, request.process_instance_id, request.page)
            return q.GetTimelineResponse(
                read_context=reading.context, citations=reading.citations, rows=rows, next_page_token=token
            )

    async def list_gates(
        self, request: q.ListGatesRequest, _ctx: RequestContext[q.ListGatesRequest, q.ListGatesResponse], /
    ) -> q.ListGatesResponse:
        async with self._reader.open(request.scope, request.min_position) as reading:
            narrowed = Filter.of(request.scope, change=request.change_id, statuses=request.statuses)
            found, token = await reading.page(Gate, narrowed, request.page)
            return q.ListGatesResponse(
                read_context=reading.context, citations=reading.citations, gates=found, next_page_token=token
            )

    async def get_gate(
        self, request: q.GetGateRequest, _ctx: RequestContext[q.GetGateRequest, q.GetGateResponse], /
    ) -> q.GetGateResponse:
        async with self._reader.open(request.scope, request.min_position) as reading:
            gate = await reading.get(Gate, request.gate_id)
            bound = await _bound_artifact(reading, gate)
            marks = await marked(reading, gate)
            return q.GetGateResponse(
                read_context=reading.context,
                citations=reading.citations,
                gate=gate,
                artifact=bound,
                marked_conversations=marks,
            )

    async def get_artifact(
        self, request: q.GetArtifactRequest, _ctx: RequestContext[q.GetArtifactRequest, q.GetArtifactResponse], /
    ) -> q.GetArtifactResponse:
        async with self._reader.open(request.scope, request.min_position) as reading:
            found = await artifact(reading, request.artifact_id, request.number)
            return q.GetArtifactResponse(read_context=reading.context, citations=reading.citations, artifact=found)

    async def list_artifacts(
        self, request: q.ListArtifactsRequest, _ctx: RequestContext[q.ListArtifactsRequest, q.ListArtifactsResponse], /
    ) -> q.ListArtifactsResponse:
        async with self._reader.open(request.scope, request.min_position) as reading:
            narrowed = Filter.of(request.scope, change=request.change_id, repository=request.repository_id)
            found, token = await reading.page(Artifact, narrowed, request.page)
            for each in found:
                cite_artifact(reading, each)
            return q.ListArtifactsResponse(
                read_context=reading.context, citations=reading.citations, artifacts=found, next_page_token=token
            )

    async def list_conversations(
        self,
        request: q.ListConversationsRequest,
        _ctx: RequestContext[q.ListConversationsRequest, q.ListConversationsResponse],
        /,
    ) -> q.ListConversationsResponse:
        async with self._reader.open(request.scope, request.min_position) as reading:
            narrowed = Filter.of(request.scope, change=request.change_id, repository=request.repository_id)
            found, token = await reading.page(Conversation, narrowed, request.page)
            return q.ListConversationsResponse(
                read_context=reading.context, citations=reading.citations, conversations=found, next_page_token=token
            )

    async def get_conversation(
        self,
        request: q.GetConversationRequest,
        _ctx: RequestContext[q.GetConversationRequest, q.GetConversationResponse],
        /,
    ) -> q.GetConversationResponse:
        async with self._reader.open(request.scope, request.min_position) as reading:
            answer = await whole_conversation(reading, request.conversation_id)
            answer.read_context, answer.citations = reading.context, reading.citations
            return answer

    async def get_consent(
        self, request: q.GetConsentRequest, _ctx: RequestContext[q.GetConsentRequest, q.GetConsentResponse], /
    ) -> q.GetConsentResponse:
        async with self._reader.open(request.scope) as reading:
            consent = await own_consent(reading, request.consent_id)
            return q.GetConsentResponse(read_context=reading.context, citations=reading.citations, consent=consent)

    async def list_releases(
        self, request: q.ListReleasesRequest, _ctx: RequestContext[q.ListReleasesRequest, q.ListReleasesResponse], /
    ) -> q.ListReleasesResponse:
        async with self._reader.open(request.scope, request.min_position) as reading:
            narrowed = Filter.of(request.scope, change=request.change_id)
            found, token = await reading.page(Release, narrowed, request.page)
            return q.ListReleasesResponse(
                read_context=reading.context, citations=reading.citations, releases=found, next_page_token=token
            )

    async def get_release(
        self, request: q.GetReleaseRequest, _ctx: RequestContext[q.GetReleaseRequest, q.GetReleaseResponse], /
    ) -> q.GetReleaseResponse:
        async with self._reader.open(request.scope, request.min_position) as reading:
            release = await reading.get(Release, request.release_id)
            promotions = await promotions_of(reading, release)
            return q.GetReleaseResponse(
                read_context=reading.context, citations=reading.citations, release=release, promotions=promotions
            )

    async def list_promotions(
        self,
        request: q.ListPromotionsRequest,
        _ctx: RequestContext[q.ListPromotionsRequest, q.ListPromotionsResponse],
        /,
    ) -> q.ListPromotionsResponse:
        async with self._reader.open(request.scope, request.min_position) as reading:
            narrowed = Filter.of(request.scope, change=request.change_id)
            if request.release_id:
                found, token = await promotions_page(reading, request.release_id, narrowed, request.page)
            else:
                found, token = await reading.page(Promotion, narrowed, request.page)
            return q.ListPromotionsResponse(
                read_context=reading.context, citations=reading.citations, promotions=found, next_page_token=token
            )

    async def get_promotion(
        self, request: q.GetPromotionRequest, _ctx: RequestContext[q.GetPromotionRequest, q.GetPromotionResponse], /
    ) -> q.GetPromotionResponse:
        async with self._reader.open(request.scope, request.min_position) as reading:
            promotion = await reading.get(Promotion, request.promotion_id)
            return q.GetPromotionResponse(
                read_context=reading.context, citations=reading.citations, promotion=promotion
            )

    async def list_environments(
        self,
        request: q.ListEnvironmentsRequest,
        _ctx: RequestContext[q.ListEnvironmentsRequest, q.ListEnvironmentsResponse],
        /,
    ) -> q.ListEnvironmentsResponse:
        async with self._reader.open(request.scope, request.min_position) as reading:
            repository_id = request.repository_id or (request.scope.repository_id if request.scope else "")
            found = await environments(reading, repository_id)
            return q.ListEnvironmentsResponse(
                read_context=reading.context, citations=reading.citations, environments=found
            )

    async def list_audit(
        self, request: q.ListAuditRequest, _ctx: RequestContext[q.ListAuditRequest, q.ListAuditResponse], /
    ) -> q.ListAuditResponse:
        async with self._reader.open(request.scope, request.min_position) as reading:
            entries, token = await audit(reading, request.change_id, request.principal_id, request.page)
            return q.ListAuditResponse(
                read_context=reading.context, citations=reading.citations, entries=entries, next_page_token=token
            )

    async def get_fact(
        self, request: q.GetFactRequest, _ctx: RequestContext[q.GetFactRequest, q.GetFactResponse], /
    ) -> q.GetFactResponse:
        async with self._reader.open(request.scope, request.min_position) as reading:
            found = await find_fact(reading, request.message_id)
            context, citations = reading.context, reading.citations
        # The archive is read outside of the transaction: it takes a connection of its own, and may be slow.
        body = await body_of(found, self._archived)
        return q.GetFactResponse(read_context=context, citations=citations, entry=found.entry, body_json=body)

    async def get_status(
        self, request: q.GetStatusRequest, _ctx: RequestContext[q.GetStatusRequest, q.GetStatusResponse], /
    ) -> q.GetStatusResponse:
        async with self._reader.open(request.scope) as reading:
            answer = await status(reading)
            answer.read_context = reading.context
            return answer

    async def get_tenant_budget(
        self, request: q.GetTenantBudgetRequest, _ctx: RequestContext[Any, Any], /
    ) -> q.GetTenantBudgetResponse:
        async with self._reader.open(request.scope, request.min_position) as reading:
            answer = await tenant_budget(reading, reading.tenant_id)
            answer.read_context, answer.citations = reading.context, reading.citations
            return answer


async def _bound_artifact(reading: Reading, gate: Gate) -> Artifact | None:
    """The version that a requirement gate binds, so that the person sees what the hash covers."""
    if gate.kind != GateKind.REQUIREMENT_STABILIZED or not gate.subject or not gate.subject.artifact_id:
        return None
    return await artifact(reading, gate.subject.artifact_id, gate.subject.artifact_number)
