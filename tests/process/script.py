"""What one run of a test is told: the outcomes of its works, the verdicts at its gates, and what was asked of it."""

import asyncio
import hashlib
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from copy import deepcopy
from dataclasses import dataclass, field

from protobuf import Message, Oneof
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from ameide.contracts.ids import new_message_id
from ameide.contracts.subjects import content_hash
from ameide.process.decisive import decisive
from ameide.process.steps import DOMAIN_FACT, TRIAGE_WORKFLOW_TYPE, WORKFLOW_TYPE
from ameide.process.workflows.inbox import DomainFact
from ameide_core_proto.common.v1.metadata_pb import AggregateRef, MessageMetadata, Scope
from ameide_core_proto.process.transformation.v1.facts_pb import TransformationProcessFact
from ameide_core_proto.transformation.governance.v1 import facts_pb as gov_facts
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    Change,
    ChangeStatus,
    Gate,
    GateParameters,
    GateStatus,
    GitopsTarget,
    Repository,
    ReusableWork,
    Run,
    RunInput,
    RunKind,
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
    Provenance,
)
from ameide_core_proto.transformation.work.v1 import command_service_pb as wrk
from ameide_core_proto.transformation.work.v1 import facts_pb as work_facts
from ameide_core_proto.transformation.work.v1.work_pb import (
    FailureCode,
    Finding,
    FindingClass,
    Outputs,
    WorkRequest,
    WorkResult,
    WorkStatus,
)

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
    begun: bool = False  # while it is held, an executor has it


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
        # What the run may take from the one before.
        self.reusable: list[ReusableWork] = []
        # What a triage run looks at; None for a run of the requirement.
        self.triage: ArtifactContent | None = None
        self.proposed: list[ArtifactContent] = []
        self.provenance: Provenance | None = None
        self.origins: list[Provenance | None] = []
        # Reads that are never answered, and those that the read side refuses.
        self.silent_reads: list[str] = []
        self.refused_reads: list[str] = []
        self.copies = 1
        self.reordered = False
        self.early = False
        # How many answers of a command are lost on their way, after it had its effect.
        self.lost_answers: dict[str, int] = defaultdict(int)
        # Process facts that the Domain does not take.
        self.refused_fact: Callable[[TransformationProcessFact], bool] = lambda _: False
        self.deliver: Callable[[DomainFact], Awaitable[None]] | None = None
        # What happened.
        self.commands: list[tuple[str, str]] = []
        self.requested: list[tuple[str, wrk.RequestWorkRequest]] = []
        self.opened: list[Gate] = []
        self.held: dict[str, WorkRequest] = {}
        self.ended: dict[str, WorkStatus] = {}
        self.waiting: dict[GateKind, Gate] = {}
        self.process_facts: dict[tuple[int, int], TransformationProcessFact] = {}
        self.sent: Counter[str] = Counter()
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
            requirement=None if self.triage else self.artifact,
            coder="patches",
            reusable=self.reusable,
            kind=RunKind.TRIAGE if self.triage else RunKind.GOVERNANCE,
            triage=self.triage,
            provenance=self.provenance,
        )

    @property
    def workflow_type(self) -> str:
        """The workflow that the run's kind has."""
        return TRIAGE_WORKFLOW_TYPE if self.triage else WORKFLOW_TYPE

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

    async def state(self, fact: Message, kind: str, aggregate_id: str, version: int, *, copies: int = 0) -> None:
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
        stated = topic(metadata=metadata, aggregate=aggregate, fact=body)  # pyright: ignore[reportArgumentType]
        await self.signal(stated, copies or self.copies)

    async def signal(self, fact: DomainFact, copies: int) -> None:
        """What ingress does with a fact, or what the test has put in its place."""
        if self.deliver is not None:
            await self.deliver(fact)
            return
        handle = self.client.get_workflow_handle(self.pid)
        for _ in range(copies):
            try:
                await handle.signal(DOMAIN_FACT, decisive(fact))
                self.sent[(fact.metadata or MessageMetadata()).message_id] += 1
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
        self.ended[work.work_request_id] = outcome.status
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
