"""The side effects of workflows: one activity per Domain command, pending process facts first, errors by their type."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from copy import deepcopy
from typing import Any, TypeVar

from protobuf import Message
from temporalio import activity

from ameide.errors import AmeideError
from ameide.faults import reach
from ameide.process import steps
from ameide.process.failing import as_failure
from ameide.process.readings import Readings
from ameide.rpc.clients import Clients
from ameide_core_proto.process.transformation.v1.process_fact_service_pb import (
    RecordProcessFactsRequest,
    RecordProcessFactsResponse,
)
from ameide_core_proto.transformation.governance.v1 import command_service_pb as governance
from ameide_core_proto.transformation.knowledge.v1 import command_service_pb as knowledge
from ameide_core_proto.transformation.work.v1 import command_service_pb as work

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)

Facts = RecordProcessFactsRequest | None


class DomainCommands:
    """The activities, as methods on what they need: the Domain's clients."""

    def __init__(self, domain: Clients) -> None:
        self._domain = domain

    def all(self) -> Sequence[Callable[..., Any]]:
        """Every activity, for the worker."""
        return [
            self.request_work,
            self.cancel_work,
            self.open_gate,
            self.void_gate,
            self.record_release,
            self.request_promotion,
            self.record_promotion_proposed,
            self.record_promotion_merged,
            self.record_rollout_health,
            self.close_run,
            self.propose_artifact,
            self.record_process_facts,
            Readings(self._domain).perform_read,
        ]

    async def _send(self, call: Callable[[Request], Awaitable[Response]], request: Request, facts: Facts) -> Response:
        point = f"worker.{activity.info().activity_type}"
        try:
            if facts is not None:
                reach("worker.process_facts.before")
                await self._domain.process_facts.record_process_facts(facts)
                reach("worker.process_facts.after")
            reach(f"{point}.before")
            answer = await call(request)
            reach(f"{point}.after")
            return answer
        except AmeideError as error:
            raise as_failure(error) from error

    @activity.defn(name=steps.REQUEST_WORK.name)
    async def request_work(self, request: work.RequestWorkRequest, facts: Facts) -> work.RequestWorkResponse:
        """Delegate a step. The answer comes back without what the workflow has just said itself."""
        answer = await self._send(self._domain.work.request_work, request, facts)
        lean = deepcopy(answer)
        if lean.work is not None:
            lean.work.inputs = None
            lean.work.path_rules = None
        return lean

    @activity.defn(name=steps.CANCEL_WORK.name)
    async def cancel_work(self, request: work.CancelWorkRequest, facts: Facts) -> work.CancelWorkResponse:
        """Ask for a work to end."""
        return await self._send(self._domain.work.cancel_work, request, facts)

    @activity.defn(name=steps.OPEN_GATE.name)
    async def open_gate(self, request: governance.OpenGateRequest, facts: Facts) -> governance.OpenGateResponse:
        """Open a gate on a subject."""
        return await self._send(self._domain.governance.open_gate, request, facts)

    @activity.defn(name=steps.VOID_GATE.name)
    async def void_gate(self, request: governance.VoidGateRequest, facts: Facts) -> governance.VoidGateResponse:
        """Take a gate back."""
        return await self._send(self._domain.governance.void_gate, request, facts)

    @activity.defn(name=steps.RECORD_RELEASE.name)
    async def record_release(
        self, request: governance.RecordReleaseRequest, facts: Facts
    ) -> governance.RecordReleaseResponse:
        """Record what was published."""
        return await self._send(self._domain.governance.record_release, request, facts)

    @activity.defn(name=steps.REQUEST_PROMOTION.name)
    async def request_promotion(
        self, request: governance.RequestPromotionRequest, facts: Facts
    ) -> governance.RequestPromotionResponse:
        """Ask for a release in an environment."""
        return await self._send(self._domain.governance.request_promotion, request, facts)

    @activity.defn(name=steps.RECORD_PROMOTION_PROPOSED.name)
    async def record_promotion_proposed(
        self, request: governance.RecordPromotionProposedRequest, facts: Facts
    ) -> governance.RecordPromotionProposedResponse:
        """Record the pull request with the digest."""
        return await self._send(self._domain.governance.record_promotion_proposed, request, facts)

    @activity.defn(name=steps.RECORD_PROMOTION_MERGED.name)
    async def record_promotion_merged(
        self, request: governance.RecordPromotionMergedRequest, facts: Facts
    ) -> governance.RecordPromotionMergedResponse:
        """Record that it is merged."""
        return await self._send(self._domain.governance.record_promotion_merged, request, facts)

    @activity.defn(name=steps.RECORD_ROLLOUT_HEALTH.name)
    async def record_rollout_health(
        self, request: governance.RecordRolloutHealthRequest, facts: Facts
    ) -> governance.RecordRolloutHealthResponse:
        """Record what the smoke check saw."""
        return await self._send(self._domain.governance.record_rollout_health, request, facts)

    @activity.defn(name=steps.CLOSE_RUN.name)
    async def close_run(self, request: governance.CloseRunRequest, facts: Facts) -> governance.CloseRunResponse:
        """End the run."""
        return await self._send(self._domain.governance.close_run, request, facts)

    @activity.defn(name=steps.PROPOSE_ARTIFACT.name)
    async def propose_artifact(
        self, request: knowledge.ProposeArtifactRequest, facts: Facts
    ) -> knowledge.ProposeArtifactResponse:
        """Propose what a run came to. The answer comes back without the content, which the workflow said itself."""
        answer = deepcopy(await self._send(self._domain.knowledge.propose_artifact, request, facts))
        if answer.artifact is not None and answer.artifact.current is not None:
            answer.artifact.current.content = None
        return answer

    @activity.defn(name=steps.RECORD_PROCESS_FACTS.name)
    async def record_process_facts(self, request: RecordProcessFactsRequest, facts: None) -> RecordProcessFactsResponse:
        """Record the process facts alone."""
        return await self._send(self._domain.process_facts.record_process_facts, request, facts)
