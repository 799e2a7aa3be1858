"""The door for repositories, changes, runs, gates, releases and promotions: one line of rights per command."""

from __future__ import annotations

from connectrpc.request import RequestContext

from ameide.domain.commands import budgets, changes, delivery, gates
from ameide.domain.service import Service
from ameide.rpc.interceptors import Caller, current_caller
from ameide_core_proto.transformation.governance.v1 import command_service_pb as pb
from ameide_core_proto.transformation.governance.v1.command_service_connect import GovernanceCommandService


def _caller(*roles: str) -> Caller:
    caller = current_caller()
    caller.need(*roles)
    return caller


class GovernanceCommands(GovernanceCommandService):
    """Each method names who may say it and runs its handler once."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def register_repository(
        self,
        request: pb.RegisterRepositoryRequest,
        _ctx: RequestContext[pb.RegisterRepositoryRequest, pb.RegisterRepositoryResponse],
    ) -> pb.RegisterRepositoryResponse:
        return await self._service.execute(
            _caller("operator"),
            "RegisterRepository",
            request,
            pb.RegisterRepositoryResponse,
            changes.register_repository,
        )

    async def adopt_policy(
        self, request: pb.AdoptPolicyRequest, _ctx: RequestContext[pb.AdoptPolicyRequest, pb.AdoptPolicyResponse]
    ) -> pb.AdoptPolicyResponse:
        return await self._service.execute(
            _caller("operator"), "AdoptPolicy", request, pb.AdoptPolicyResponse, changes.adopt_policy
        )

    async def open_change(
        self, request: pb.OpenChangeRequest, _ctx: RequestContext[pb.OpenChangeRequest, pb.OpenChangeResponse]
    ) -> pb.OpenChangeResponse:
        return await self._service.execute(
            _caller("requester", "operator"), "OpenChange", request, pb.OpenChangeResponse, changes.open_change
        )

    async def cancel_change(
        self, request: pb.CancelChangeRequest, _ctx: RequestContext[pb.CancelChangeRequest, pb.CancelChangeResponse]
    ) -> pb.CancelChangeResponse:
        return await self._service.execute(
            _caller("requester", "operator"), "CancelChange", request, pb.CancelChangeResponse, changes.cancel_change
        )

    async def close_change(
        self, request: pb.CloseChangeRequest, _ctx: RequestContext[pb.CloseChangeRequest, pb.CloseChangeResponse]
    ) -> pb.CloseChangeResponse:
        return await self._service.execute(
            _caller("requester", "operator"), "CloseChange", request, pb.CloseChangeResponse, changes.close_change
        )

    async def start_run(
        self, request: pb.StartRunRequest, _ctx: RequestContext[pb.StartRunRequest, pb.StartRunResponse]
    ) -> pb.StartRunResponse:
        return await self._service.execute(
            _caller("requester", "operator"), "StartRun", request, pb.StartRunResponse, changes.start_run
        )

    async def close_run(
        self, request: pb.CloseRunRequest, _ctx: RequestContext[pb.CloseRunRequest, pb.CloseRunResponse]
    ) -> pb.CloseRunResponse:
        return await self._service.execute(
            _caller("process"), "CloseRun", request, pb.CloseRunResponse, changes.close_run
        )

    async def open_gate(
        self, request: pb.OpenGateRequest, _ctx: RequestContext[pb.OpenGateRequest, pb.OpenGateResponse]
    ) -> pb.OpenGateResponse:
        return await self._service.execute(
            _caller("process"), "OpenGate", request, pb.OpenGateResponse, gates.open_gate
        )

    async def decide_gate(
        self, request: pb.DecideGateRequest, _ctx: RequestContext[pb.DecideGateRequest, pb.DecideGateResponse]
    ) -> pb.DecideGateResponse:
        return await self._service.execute(
            _caller("requester", "approver", "releaser", "operator"),
            "DecideGate",
            request,
            pb.DecideGateResponse,
            gates.decide_gate,
        )

    async def void_gate(
        self, request: pb.VoidGateRequest, _ctx: RequestContext[pb.VoidGateRequest, pb.VoidGateResponse]
    ) -> pb.VoidGateResponse:
        return await self._service.execute(
            _caller("process"), "VoidGate", request, pb.VoidGateResponse, gates.void_gate
        )

    async def record_release(
        self, request: pb.RecordReleaseRequest, _ctx: RequestContext[pb.RecordReleaseRequest, pb.RecordReleaseResponse]
    ) -> pb.RecordReleaseResponse:
        return await self._service.execute(
            _caller("process"), "RecordRelease", request, pb.RecordReleaseResponse, delivery.record_release
        )

    async def request_promotion(
        self,
        request: pb.RequestPromotionRequest,
        _ctx: RequestContext[pb.RequestPromotionRequest, pb.RequestPromotionResponse],
    ) -> pb.RequestPromotionResponse:
        return await self._service.execute(
            _caller("process"), "RequestPromotion", request, pb.RequestPromotionResponse, delivery.request_promotion
        )

    async def record_promotion_proposed(
        self,
        request: pb.RecordPromotionProposedRequest,
        _ctx: RequestContext[pb.RecordPromotionProposedRequest, pb.RecordPromotionProposedResponse],
    ) -> pb.RecordPromotionProposedResponse:
        return await self._service.execute(
            _caller("process"),
            "RecordPromotionProposed",
            request,
            pb.RecordPromotionProposedResponse,
            delivery.record_promotion_proposed,
        )

    async def record_promotion_merged(
        self,
        request: pb.RecordPromotionMergedRequest,
        _ctx: RequestContext[pb.RecordPromotionMergedRequest, pb.RecordPromotionMergedResponse],
    ) -> pb.RecordPromotionMergedResponse:
        return await self._service.execute(
            _caller("process"),
            "RecordPromotionMerged",
            request,
            pb.RecordPromotionMergedResponse,
            delivery.record_promotion_merged,
        )

    async def record_rollout_health(
        self,
        request: pb.RecordRolloutHealthRequest,
        _ctx: RequestContext[pb.RecordRolloutHealthRequest, pb.RecordRolloutHealthResponse],
    ) -> pb.RecordRolloutHealthResponse:
        return await self._service.execute(
            _caller("process"),
            "RecordRolloutHealth",
            request,
            pb.RecordRolloutHealthResponse,
            delivery.record_rollout_health,
        )

    async def allot_tenant_budget(
        self,
        request: pb.AllotTenantBudgetRequest,
        _ctx: RequestContext[pb.AllotTenantBudgetRequest, pb.AllotTenantBudgetResponse],
    ) -> pb.AllotTenantBudgetResponse:
        return await self._service.execute(
            _caller("operator"),
            "AllotTenantBudget",
            request,
            pb.AllotTenantBudgetResponse,
            budgets.allot_tenant_budget,
        )
