"""A Domain in memory that answers every command of the Process and states facts by signal: a double for tests.

It keeps what the real one keeps (idempotent answers, versions, consumed gates, process facts by place) and follows a
script where the real one has executors and people.
"""

import asyncio
import hashlib
import itertools
from collections import defaultdict
from collections.abc import Awaitable, Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TypeVar

from protobuf import Message, Oneof
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from ameide.contracts.ids import new_message_id
from ameide.contracts.subjects import content_hash, subject_hash
from ameide.errors import Refused
from ameide.process.decisive import decisive
from ameide.process.steps import DOMAIN_FACT
from ameide.process.workflows.inbox import DomainFact
from ameide_core_proto.common.v1.metadata_pb import AggregateRef, MessageMetadata, Scope
from ameide_core_proto.process.transformation.v1.facts_pb import TransformationProcessFact
from ameide_core_proto.process.transformation.v1.process_fact_service_pb import (
    RecordProcessFactsRequest,
    RecordProcessFactsResponse,
)
from ameide_core_proto.transformation.governance.v1 import command_service_pb as gov
from ameide_core_proto.transformation.governance.v1 import facts_pb as gov_facts
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    Change,
    ChangeStatus,
    Gate,
    GateParameters,
    GateStatus,
    GitopsTarget,
    Promotion,
    PromotionStatus,
    Release,
    Repository,
    Run,
    RunInput,
    RunStatus,
)
from ameide_core_proto.transformation.governance.v1.policy_pb import Bounds, Environment, GateKind, GateRule, Policy
from ameide_core_proto.transformation.knowledge.v1 import facts_pb as knowledge_facts
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import (
    Artifact,
    ArtifactContent,
    ArtifactKind,
    ArtifactStatus,
    ArtifactVersion,
)
from ameide_core_proto.transformation.work.v1 import command_service_pb as wrk
from ameide_core_proto.transformation.work.v1 import facts_pb as work_facts
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    FailureCode,
    Finding,
    FindingClass,
    Outputs,
    WorkRequest,
    WorkResult,
    WorkStatus,
)

R = TypeVar("R", bound=Message)
DIGEST = "sha256:" + "ab" * 32
BASE = "b" * 40


def sha(text: str) -> str:
    """A commit id made of a word."""
    return hashlib.sha1(text.encode()).hexdigest()


def diff(text: str) -> str:
    """A diff hash made of a word."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass
class Outcome:
    """How a work ends. `hold`: it does not, until a test says so or the work is canceled."""

    status: WorkStatus = WorkStatus.SUCCEEDED
    result: WorkResult = field(default_factory=WorkResult)
    hold: bool = False
    deaf: bool = False  # a cancel request is not heard


def failed(code: FailureCode, *findings: Finding, outputs: Outputs | None = None) -> Outcome:
    """A recorded failure."""
    result = WorkResult(failure_code=code, findings=list(findings), summary=code.name, outputs=outputs)
    return Outcome(WorkStatus.FAILED, result)


def red(test: str) -> Outcome:
    """A verification with one failing test."""
    finding = Finding(class_=FindingClass.TEST_FAILURE, id=test, what_failed="assert")
    return failed(FailureCode.VERIFICATION_FAILED, finding)


def done(**outputs: object) -> Outcome:
    """A success with these outputs."""
    return Outcome(result=WorkResult(outputs=Outputs(**outputs)))  # pyright: ignore[reportArgumentType]


HOLD = Outcome(hold=True)


@dataclass
class Verdict:
    """What the people of the script say to a gate."""

    status: GateStatus = GateStatus.APPROVED
    comment: str = ""
    parameters: GateParameters | None = None


APPROVE = Verdict()


def reject(comment: str = "no") -> Verdict:
    """A rejection."""
    return Verdict(GateStatus.REJECTED, comment)


def approve(more_iterations: int = 0) -> Verdict:
    """An approval that grants iterations."""
    return Verdict(parameters=GateParameters(more_iterations=more_iterations))


WAIT = Verdict(GateStatus.OPEN)
EXPIRE = Verdict(GateStatus.EXPIRED)
VOID = Verdict(GateStatus.VOIDED)


class Script:
    """One run: what will happen to it, and what did."""

    def __init__(self, name: str, client: Client, *, gitops: bool = True) -> None:
        self.name = name
        self.client = client
        self.change_id = f"chg-{name}-{new_message_id()[-12:]}"
        self.pid = f"r2r/default/{self.change_id}/1"
        self.scope = Scope(tenant_id="default", repository_id="orders")
        content = ArtifactContent(
            title="Cancel an order", text="A customer can cancel.", acceptance_criteria=["It works"]
        )
        self.artifact = Artifact(
            scope=self.scope,
            artifact_id=f"art-{name}",
            change_id=self.change_id,
            kind=ArtifactKind.REQUIREMENT,
            current=ArtifactVersion(
                number=1, content=content, content_hash=content_hash(content), status=ArtifactStatus.PROPOSED
            ),
            version=2,
        )
        self.policy = Policy(
            repository_id="orders",
            gates=[GateRule(kind=kind, required=True) for kind in GateKind if kind],
            environments=[
                Environment(name="dev", image_ref_path="dev/values.yaml", smoke=True),
                Environment(name="production", image_ref_path="prod/values.yaml", gate_required=True, smoke=True),
            ],
            bounds=Bounds(max_iterations=3, max_step_retries=2, max_merge_rounds=2, max_history_signals=500),
        )
        self.repository = Repository(
            repository_id="orders",
            name="orders",
            default_branch="main",
            gitops=GitopsTarget(url="file:///gitops", branch="main") if gitops else None,
        )
        self.run = Run(
            scope=self.scope, process_instance_id=self.pid, change_id=self.change_id, number=1, status=RunStatus.OPEN
        )
        self.change = Change(scope=self.scope, change_id=self.change_id, status=ChangeStatus.OPEN, version=1)
        # The script: what happens at the n-th work of a step and at the n-th gate of a kind; else all is well.
        self.works: dict[str, list[Outcome]] = defaultdict(list)
        self.gates: dict[GateKind, list[Verdict]] = defaultdict(list)
        self.refusals: dict[str, list[str]] = defaultdict(list)
        self.refused_steps: dict[str, list[str]] = defaultdict(list)
        self.copies = 1
        self.reordered = False
        self.early = False
        self.deliver: Callable[[DomainFact], Awaitable[None]] | None = None
        # What happened.
        self.commands: list[tuple[str, str]] = []
        self.requested: list[tuple[str, wrk.RequestWorkRequest]] = []
        self.opened: list[Gate] = []
        self.held: dict[str, WorkRequest] = {}
        self.waiting: dict[GateKind, Gate] = {}
        self.process_facts: dict[tuple[int, int], TransformationProcessFact] = {}
        self.signals = 0
        self.late = 0
        self.tasks: set[asyncio.Task[None]] = set()
        self.changed = asyncio.Event()

    @property
    def input(self) -> RunInput:
        """The stored input of the run."""
        return RunInput(
            scope=self.scope,
            process_instance_id=self.pid,
            change_id=self.change_id,
            run_number=1,
            repository=self.repository,
            policy=self.policy,
            requirement=self.artifact,
            coder="patches",
        )

    @property
    def steps(self) -> list[str]:
        """The delegated steps in the order of their requests."""
        return [step for step, _ in self.requested]

    @property
    def gate_kinds(self) -> list[str]:
        """The gates in the order of their opening."""
        return [gate.kind.name for gate in self.opened]

    def orders(self, step: str) -> list[wrk.RequestWorkRequest]:
        """What was asked for of one step."""
        return [order for name, order in self.requested if name == step]

    def facts_named(self, field_name: str) -> list[Message]:
        """Process facts of one case, in order."""
        ordered = [self.process_facts[place] for place in sorted(self.process_facts)]
        return [fact.fact.value for fact in ordered if fact.fact is not None and fact.fact.field == field_name]

    async def reached(self, condition: Callable[[], bool]) -> None:
        """Until the script has come so far."""
        async with asyncio.timeout(60):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def state(self, fact: Message, kind: str, aggregate_id: str, version: int) -> None:
        """State a fact: as often and in whatever order the script says."""
        topic = {
            "work": work_facts.TransformationWorkDomainFact,
            "artifact": knowledge_facts.TransformationKnowledgeDomainFact,
        }.get(kind, gov_facts.TransformationGovernanceDomainFact)
        name = "".join(f"_{c.lower()}" if c.isupper() else c for c in type(fact).__name__).lstrip("_")
        body: Oneof[str, Message] = Oneof(field=name, value=fact)
        metadata = MessageMetadata(
            message_id=new_message_id(),
            tenant_id="default",
            correlation_id=self.change_id,
            process_instance_id=self.pid,
        )
        aggregate = AggregateRef(type=kind, id=aggregate_id, version=version)
        await self.signal(topic(metadata=metadata, aggregate=aggregate, fact=body))  # pyright: ignore[reportArgumentType]

    async def signal(self, fact: DomainFact) -> None:
        """What ingress does with a fact, or what the test has put in its place."""
        if self.deliver is not None:
            await self.deliver(fact)
            return
        handle = self.client.get_workflow_handle(self.pid)
        for _ in range(self.copies):
            self.signals += 1
            try:
                await handle.signal(DOMAIN_FACT, decisive(fact))
            except RPCError as error:
                if error.status != RPCStatusCode.NOT_FOUND:
                    raise
                self.late += 1

    def later(self, act: Awaitable[None]) -> None:
        """Let it happen beside the command that caused it."""

        async def run() -> None:
            await act

        task = asyncio.create_task(run())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def end_work(self, work: WorkRequest, outcome: Outcome) -> None:
        """The terminal fact of a work."""
        self.held.pop(work.work_request_id, None)
        ended = deepcopy(work)
        ended.version = 3
        ended.status = outcome.status
        ended.result = deepcopy(outcome.result)
        fact = {
            WorkStatus.SUCCEEDED: work_facts.WorkCompleted,
            WorkStatus.FAILED: work_facts.WorkFailed,
            WorkStatus.CANCELED: work_facts.WorkCanceled,
        }[outcome.status](work=ended)
        await self.state(fact, "work", work.work_request_id, 3)

    async def settle_gate(self, gate: Gate, verdict: Verdict) -> None:
        """The deciding fact of a gate."""
        self.waiting.pop(gate.kind, None)
        gate.status, gate.comment, gate.parameters = verdict.status, verdict.comment, verdict.parameters
        gate.version += 1
        fact = {GateStatus.EXPIRED: gov_facts.GateExpired, GateStatus.VOIDED: gov_facts.GateVoided}.get(
            verdict.status, gov_facts.GateDecided
        )(gate=deepcopy(gate))
        await self.state(fact, "gate", gate.gate_id, gate.version)

    async def submit_version(self, number: int) -> None:
        """Somebody revises the requirement and submits it."""
        assert self.artifact.current is not None
        self.artifact = deepcopy(self.artifact)
        assert self.artifact.current is not None
        for status, fact in (
            (ArtifactStatus.DRAFT, knowledge_facts.ArtifactRevised),
            (ArtifactStatus.PROPOSED, knowledge_facts.ArtifactSubmitted),
        ):
            self.artifact.version += 1
            self.artifact.current.number, self.artifact.current.status = number, status
            stated = fact(artifact=deepcopy(self.artifact))
            await self.state(stated, "artifact", self.artifact.artifact_id, self.artifact.version)

    async def cancel_change(self) -> None:
        """Somebody cancels the change."""
        self.change.status, self.change.version = ChangeStatus.CANCELED, self.change.version + 1
        fact = gov_facts.ChangeCanceled(change=deepcopy(self.change))
        await self.state(fact, "change", self.change_id, self.change.version)

    async def request_cancel(self) -> None:
        """Somebody cancels the run."""
        self.run.cancel_requested, self.run.version = True, self.run.version + 1
        fact = gov_facts.RunCancelRequested(run=deepcopy(self.run))
        await self.state(fact, "run", self.pid, self.run.version)


def step_of(order: wrk.RequestWorkRequest) -> str:
    """The activity's name in an idempotency key."""
    return order.client_request_id.split("/")[-2]


def all_is_well(step: str, order: wrk.RequestWorkRequest, count: int) -> Outcome:
    """What a step brings forth when the script says nothing."""
    inputs = order.inputs
    assert inputs is not None
    if step == "preflight":
        return done(commit_sha=BASE)
    if step in ("scaffold", "generate"):
        return done(commit_sha=order.commit_sha, unchanged=True)
    if step == "coder":
        made = f"coder{count}"
        return done(commit_sha=sha(made), branch=inputs.branch, diff_hash=diff(made), base_sha=order.base_sha)
    if step == "merge_prepare":
        return done(
            commit_sha=order.commit_sha, base_sha=BASE, diff_hash=inputs.accepted_diff_hash, branch=inputs.branch
        )
    if step == "merge_push":
        return done(commit_sha=inputs.candidate_sha)
    if step == "build":
        return done(build_uri="file:///layout", build_digest=DIGEST)
    if step == "publish":
        return done(image_ref=f"registry/orders:{order.commit_sha}@{DIGEST}")
    if step == "deploy":
        return done(pr_url=f"file:///gitops/{inputs.environment}", gitops_commit_sha=sha("gitops"), merged=True)
    return Outcome()


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
        if script.refused_steps[step_of(request)]:
            raise Refused("the step is refused", reason=script.refused_steps[step_of(request)].pop(0))
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
        if script.early:
            await facts
        else:
            script.later(facts)
        return answer

    async def _work_facts(self, script: Script, work: WorkRequest, outcome: Outcome) -> None:
        started = deepcopy(work)
        started.version, started.status = 2, WorkStatus.STARTED

        async def requested() -> None:
            await script.state(work_facts.WorkRequested(work=work), "work", work.work_request_id, 1)

        async def begun() -> None:
            await script.state(work_facts.WorkStarted(work=started), "work", work.work_request_id, 2)

        if outcome.hold:
            await requested()
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
        if script.early:
            await facts
        else:
            script.later(facts)
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

    async def record_process_facts(self, request: RecordProcessFactsRequest) -> RecordProcessFactsResponse:
        script = self.scripts[request.process_instance_id]
        for fact in request.facts:
            script.process_facts.setdefault((fact.run_epoch, fact.seq), fact)
        script.changed.set()
        return RecordProcessFactsResponse(recorded=len(request.facts))
