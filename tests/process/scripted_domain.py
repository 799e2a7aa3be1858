"""A Domain in memory that answers every command of the Process and states facts by signal: a double for tests.

It keeps what the real one keeps (idempotent answers, versions, consumed gates, process facts by place) and follows a
script where the real one has executors and people.
"""

import asyncio
import itertools
from collections.abc import Coroutine
from copy import deepcopy
from typing import TypeVar

from protobuf import Message

from ameide.contracts.subjects import subject_hash
from ameide.errors import InvalidArgument, NotFound, Refused, Unreachable
from ameide_core_proto.common.v1.reading_pb import ReadContext
from ameide_core_proto.process.transformation.v1.process_fact_service_pb import (
    RecordProcessFactsRequest,
    RecordProcessFactsResponse,
)
from ameide_core_proto.transformation.governance.v1 import command_service_pb as gov
from ameide_core_proto.transformation.governance.v1 import facts_pb as gov_facts
from ameide_core_proto.transformation.governance.v1 import query_service_pb as q
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    Change,
    Gate,
    GateStatus,
    Promotion,
    PromotionStatus,
    Release,
)
from ameide_core_proto.transformation.knowledge.v1 import command_service_pb as know
from ameide_core_proto.transformation.knowledge.v1 import facts_pb as know_facts
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact, ArtifactStatus, ArtifactVersion
from ameide_core_proto.transformation.work.v1 import command_service_pb as wrk
from ameide_core_proto.transformation.work.v1 import facts_pb as work_facts
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    WorkRequest,
    WorkStatus,
)
from tests.process.script import APPROVE, VOID, Outcome, Script, Verdict, all_is_well, step_of

R = TypeVar("R", bound=Message)


class ScriptedDomain:
    """Stands where the Domain's clients stand: `.work`, `.governance`, `.process_facts`."""

    def __init__(self) -> None:
        self.scripts: dict[str, Script] = {}
        self.stored: dict[str, Message] = {}
        self.ids = itertools.count(1)
        self.works: dict[str, Script] = {}
        self.gates: dict[str, tuple[Script, Gate]] = {}
        self.releases: dict[str, Release] = {}
        self.promotions: dict[str, tuple[Script, Promotion]] = {}

    @property
    def work(self) -> "ScriptedDomain":
        return self

    @property
    def governance(self) -> "ScriptedDomain":
        return self

    @property
    def knowledge(self) -> "ScriptedDomain":
        return self

    @property
    def queries(self) -> "ScriptedDomain":
        return self

    @property
    def process_facts(self) -> "ScriptedDomain":
        return self

    def _enter(self, script: Script, command: str, key: str, answer: type[R]) -> R | None:
        """What every command does first: the stored answer of a replay, or the refusal that the script wants."""
        found = self.stored.get(key)
        if found is not None:
            assert isinstance(found, answer)
            return found
        script.commands.append((command, key))
        script.changed.set()
        if script.refusals[command]:
            reason = script.refusals[command].pop(0)
            raise Refused(f"{command} is refused", reason=reason)
        return None

    def _next_id(self, prefix: str) -> str:
        return f"{prefix}-{next(self.ids)}"

    async def request_work(self, request: wrk.RequestWorkRequest) -> wrk.RequestWorkResponse:
        script = self.scripts[request.process_instance_id]
        stored = self._enter(script, "request_work", request.client_request_id, wrk.RequestWorkResponse)
        if stored:
            return stored
        refused = script.refused_steps[step_of(request)]
        if refused and (reason := refused.pop(0)):
            raise Refused("the step is refused", reason=reason)
        if request.gate_pass is not None:
            gate = self.gates[request.gate_pass.gate_id][1]
            assert gate.subject_hash == request.gate_pass.subject_hash
            assert gate.status in (GateStatus.APPROVED, GateStatus.OVERRIDDEN)
        step = step_of(request)
        script.requested.append((step, request))
        work = WorkRequest(
            scope=request.scope,
            work_request_id=self._next_id("wrk"),
            client_request_id=request.client_request_id,
            process_instance_id=script.pid,
            work_kind=request.work_kind,
            action_kind=request.action_kind,
            commit_sha=request.commit_sha,
            status=WorkStatus.REQUESTED,
            change_id=request.change_id,
            version=1,
        )
        if request.action_kind in (ActionKind.MERGE, ActionKind.PUBLISH, ActionKind.DEPLOY) and request.gate_pass:
            self.gates[request.gate_pass.gate_id][1].consumed_by = work.work_request_id
        self.works[work.work_request_id] = script
        queued = script.works[step]
        outcome = queued.pop(0) if queued else all_is_well(step, request, len(script.orders(step)))
        answer = wrk.RequestWorkResponse(work=work)
        self.stored[request.client_request_id] = answer
        facts = self._work_facts(script, work, outcome)
        await self._state(script, facts)
        self._lose(script, "request_work")
        return answer

    async def _state(self, script: Script, facts: Coroutine[None, None, None]) -> None:
        if script.early:
            await facts
        else:
            script.later(facts)

    def _lose(self, script: Script, command: str) -> None:
        if script.lost_answers[command]:
            script.lost_answers[command] -= 1
            raise Unreachable("the answer is lost")

    async def _work_facts(self, script: Script, work: WorkRequest, outcome: Outcome) -> None:
        started = deepcopy(work)
        started.version, started.status = 2, WorkStatus.STARTED

        async def requested() -> None:
            await script.state(work_facts.WorkRequested(work=work), "work", work.work_request_id, 1)

        async def begun() -> None:
            await script.state(work_facts.WorkStarted(work=started), "work", work.work_request_id, 2)

        if outcome.hold:
            await requested()
            if outcome.begun:
                await begun()
            script.held[work.work_request_id] = work
            if outcome.deaf:
                script.held[work.work_request_id] = deepcopy(work)
                script.held[work.work_request_id].dispatch = -1
            script.changed.set()
            return
        if script.reordered:
            await script.end_work(work, outcome)
            await begun()
            await requested()
        else:
            await requested()
            await begun()
            await script.end_work(work, outcome)

    async def cancel_work(self, request: wrk.CancelWorkRequest) -> wrk.CancelWorkResponse:
        script = self.works[request.work_request_id]
        stored = self._enter(script, "cancel_work", request.client_request_id, wrk.CancelWorkResponse)
        if stored:
            return stored
        answer = wrk.CancelWorkResponse()
        self.stored[request.client_request_id] = answer
        held = script.held.get(request.work_request_id)
        if held is not None and held.dispatch != -1:
            script.later(script.end_work(held, Outcome(WorkStatus.CANCELED)))
        return answer

    async def open_gate(self, request: gov.OpenGateRequest) -> gov.OpenGateResponse:
        script = self.scripts[request.process_instance_id]
        stored = self._enter(script, "open_gate", request.client_request_id, gov.OpenGateResponse)
        if stored:
            return stored
        assert request.subject is not None
        assert request.subject_hash == subject_hash(request.kind, request.subject)
        gate = Gate(
            scope=request.scope,
            gate_id=self._next_id("gat"),
            change_id=script.change_id,
            process_instance_id=script.pid,
            kind=request.kind,
            status=GateStatus.OPEN,
            subject=request.subject,
            subject_hash=request.subject_hash,
            version=1,
        )
        self.gates[gate.gate_id] = (script, gate)
        script.opened.append(gate)
        answer = gov.OpenGateResponse(gate=deepcopy(gate))
        self.stored[request.client_request_id] = answer
        queued = script.gates[request.kind]
        verdict = queued.pop(0) if queued else APPROVE
        facts = self._gate_facts(script, gate, verdict)
        await self._state(script, facts)
        self._lose(script, "open_gate")
        return answer

    async def _gate_facts(self, script: Script, gate: Gate, verdict: Verdict) -> None:
        await script.state(gov_facts.GateOpened(gate=deepcopy(gate)), "gate", gate.gate_id, 1)
        if verdict.status == GateStatus.OPEN:
            script.waiting[gate.kind] = gate
            script.changed.set()
        else:
            await script.settle_gate(gate, verdict)

    async def void_gate(self, request: gov.VoidGateRequest) -> gov.VoidGateResponse:
        script, gate = self.gates[request.gate_id]
        stored = self._enter(script, "void_gate", request.client_request_id, gov.VoidGateResponse)
        if stored:
            return stored
        if gate.consumed_by:
            raise Refused("its pass was used", reason="GATE_CONSUMED")
        answer = gov.VoidGateResponse()
        self.stored[request.client_request_id] = answer
        script.later(script.settle_gate(gate, VOID))
        return answer

    async def record_release(self, request: gov.RecordReleaseRequest) -> gov.RecordReleaseResponse:
        script = self.scripts[request.process_instance_id]
        stored = self._enter(script, "record_release", request.client_request_id, gov.RecordReleaseResponse)
        if stored:
            return stored
        release = Release(release_id=self._next_id("rel"), image_ref=request.image_ref, version=1)
        self.releases[release.release_id] = release
        script.later(script.state(gov_facts.ReleaseRecorded(release=release), "release", release.release_id, 1))
        answer = gov.RecordReleaseResponse(release=release)
        self.stored[request.client_request_id] = answer
        return answer

    async def request_promotion(self, request: gov.RequestPromotionRequest) -> gov.RequestPromotionResponse:
        script = self.scripts[request.process_instance_id]
        stored = self._enter(script, "request_promotion", request.client_request_id, gov.RequestPromotionResponse)
        if stored:
            return stored
        promotion = Promotion(
            promotion_id=self._next_id("prm"),
            release_id=request.release_id,
            environment=request.environment,
            status=PromotionStatus.REQUESTED,
            version=1,
        )
        self.promotions[promotion.promotion_id] = (script, promotion)
        answer = gov.RequestPromotionResponse(promotion=deepcopy(promotion))
        self.stored[request.client_request_id] = answer
        fact = gov_facts.PromotionRequested(promotion=deepcopy(promotion))
        script.later(script.state(fact, "promotion", promotion.promotion_id, 1))
        return answer

    async def move_promotion(self, promotion_id: str, status: PromotionStatus) -> None:
        """A promotion comes further, and its fact is stated."""
        script, promotion = self.promotions[promotion_id]
        promotion.status, promotion.version = status, promotion.version + 1
        fact = {
            PromotionStatus.PROPOSED: gov_facts.PromotionProposed,
            PromotionStatus.MERGED: gov_facts.PromotionMerged,
        }.get(status, gov_facts.RolloutHealthRecorded)
        await script.state(fact(promotion=deepcopy(promotion)), "promotion", promotion.promotion_id, promotion.version)

    async def record_promotion_proposed(
        self, request: gov.RecordPromotionProposedRequest
    ) -> gov.RecordPromotionProposedResponse:
        script = self.promotions[request.promotion_id][0]
        key, answer = request.client_request_id, gov.RecordPromotionProposedResponse()
        if not self._enter(script, "record_promotion_proposed", key, gov.RecordPromotionProposedResponse):
            self.stored[key] = answer
            await self.move_promotion(request.promotion_id, PromotionStatus.PROPOSED)
        return answer

    async def record_promotion_merged(
        self, request: gov.RecordPromotionMergedRequest
    ) -> gov.RecordPromotionMergedResponse:
        script = self.promotions[request.promotion_id][0]
        key, answer = request.client_request_id, gov.RecordPromotionMergedResponse()
        if not self._enter(script, "record_promotion_merged", key, gov.RecordPromotionMergedResponse):
            self.stored[key] = answer
            await self.move_promotion(request.promotion_id, PromotionStatus.MERGED)
        return answer

    async def record_rollout_health(self, request: gov.RecordRolloutHealthRequest) -> gov.RecordRolloutHealthResponse:
        script = self.promotions[request.promotion_id][0]
        key, answer = request.client_request_id, gov.RecordRolloutHealthResponse()
        if not self._enter(script, "record_rollout_health", key, gov.RecordRolloutHealthResponse):
            self.stored[key] = answer
            status = PromotionStatus.HEALTHY if request.healthy else PromotionStatus.UNHEALTHY
            await self.move_promotion(request.promotion_id, status)
        return answer

    async def close_run(self, request: gov.CloseRunRequest) -> gov.CloseRunResponse:
        script = self.scripts[request.process_instance_id]
        if not self._enter(script, "close_run", request.client_request_id, gov.CloseRunResponse):
            self.stored[request.client_request_id] = gov.CloseRunResponse()
            script.run.status, script.run.outcome = request.status, request.outcome
            script.run.version += 1
        return gov.CloseRunResponse(run=script.run)

    async def propose_artifact(self, request: know.ProposeArtifactRequest) -> know.ProposeArtifactResponse:
        script = self._of_change(request.change_id)
        stored = self._enter(script, "propose_artifact", request.client_request_id, know.ProposeArtifactResponse)
        if stored:
            return stored
        assert request.content is not None
        script.proposed.append(request.content)
        script.origins.append(request.provenance)
        version = ArtifactVersion(number=1, content=request.content, status=ArtifactStatus.DRAFT)
        made = Artifact(artifact_id=self._next_id("art"), kind=request.kind, current=version, version=1)
        script.later(script.state(know_facts.ArtifactProposed(artifact=made), "artifact", made.artifact_id, 1))
        answer = know.ProposeArtifactResponse(artifact=made)
        self.stored[request.client_request_id] = answer
        self._lose(script, "propose_artifact")
        return answer

    def _of_change(self, change_id: str) -> Script:
        return next(script for script in self.scripts.values() if script.change_id == change_id)

    async def get_change(self, request: q.GetChangeRequest) -> q.GetChangeResponse:
        script = self._of_change(request.change_id)
        await self._read(script, "GetChange")
        return q.GetChangeResponse(read_context=ReadContext(log_position=7), runs=[script.run])

    async def get_repository(self, _request: q.GetRepositoryRequest) -> q.GetRepositoryResponse:
        return q.GetRepositoryResponse(read_context=ReadContext(log_position=8))

    async def list_changes(self, request: q.ListChangesRequest) -> q.ListChangesResponse:
        assert request.repository_id == "orders"
        other = q.ChangeSummary(change=Change(change_id="chg-other", title="Ship\nan order"))
        return q.ListChangesResponse(read_context=ReadContext(log_position=9), changes=[other])

    async def _read(self, script: Script, query: str) -> None:
        script.changed.set()
        if query in script.refused_reads:
            raise NotFound("no such change")
        if query in script.silent_reads:
            await asyncio.Event().wait()

    async def record_process_facts(self, request: RecordProcessFactsRequest) -> RecordProcessFactsResponse:
        script = self.scripts[request.process_instance_id]
        if any(script.refused_fact(fact) for fact in request.facts):
            raise InvalidArgument("is longer than it may be", field="facts[0].activity_transitioned.reason")
        for fact in request.facts:
            script.process_facts.setdefault((fact.run_epoch, fact.seq), fact)
        script.changed.set()
        return RecordProcessFactsResponse(recorded=len(request.facts))
