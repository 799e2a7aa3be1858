"""All that a run is at a moment: one serialisable value, carried through Continue-As-New."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from temporalio.exceptions import ApplicationError

from ameide.process.workflows.inbox import Inbox
from ameide.process.workflows.journal import Pages
from ameide_core_proto.process.transformation.v1.facts_pb import Phase
from ameide_core_proto.transformation.governance.v1.governance_pb import RunInput, RunStatus
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact
from ameide_core_proto.transformation.work.v1.work_pb import Finding, GatePass


class Step(StrEnum):
    """The named steps of the course. A run is always at exactly one, and can be taken up again there."""

    INTAKE = "intake"
    REQUIREMENT = "requirement"
    PREFLIGHT = "preflight"
    SCAFFOLD = "scaffold"
    GENERATE = "generate"
    CODE = "code"
    VERIFY = "verify"
    ACCEPTANCE = "acceptance"
    PREPARE = "prepare"
    VERIFY_CANDIDATE = "verify_candidate"
    PUSH = "push"
    READY_TO_RELEASE = "ready_to_release"
    BUILD = "build"
    PUBLISH = "publish"
    RELEASE = "release"
    PROMOTION = "promotion"
    DEPLOY = "deploy"
    ROLLOUT = "rollout"
    SMOKE = "smoke"
    ASK_HUMAN = "ask_human"
    ASK_BUDGET = "ask_budget"
    WIND_DOWN = "wind_down"
    READ = "read"
    ANALYZE = "analyze"
    PROPOSE = "propose"
    CLOSE = "close"
    CLOSED = "closed"


@dataclass
class Ask:
    """What the current step asked for and waits on: a work or a gate. `ref` is its id once the Domain has answered."""

    activity: str
    iteration: int
    ref: str = ""
    is_gate: bool = False
    # Seconds since the epoch, by workflow time: when anything was last heard of it.
    heard_at: float = 0.0
    heard_version: int = 0
    cancel_sent: bool = False


@dataclass
class Question:
    """What a person is asked at NEEDS_HUMAN or BUDGET, and where the course goes on if they approve."""

    reason: str
    resume: Step
    findings: list[Finding] = field(default_factory=list[Finding])
    # Approving means another coder iteration, not the same step again.
    next_iteration: bool = False


@dataclass
class Candidate:
    """A merge prepared on `main_sha`."""

    commit_sha: str
    main_sha: str
    diff_hash: str
    branch: str


@dataclass
class Acceptance:
    """What may be merged: the patch that was accepted, by a gate or because policy asks for none."""

    diff_hash: str
    finding_ids: list[str] = field(default_factory=list[str])


@dataclass
class Deployed:
    """What a DEPLOY reported."""

    work_request_id: str
    pr_url: str
    commit_sha: str
    merged: bool


@dataclass
class Ending:
    """How the run ends."""

    status: RunStatus
    outcome: str


@dataclass
class WindDown:
    """Open work is being canceled; then the course goes to `then`."""

    then: Step
    origin: Step


@dataclass
class RunState:
    """Where the run is and what it holds on to."""

    requirement: Artifact
    iteration_limit: int
    step: Step = Step.INTAKE
    phase: Phase = Phase.UNSPECIFIED
    inbox: Inbox = field(default_factory=Inbox)
    pages: Pages = field(default_factory=Pages)
    # What the run last said it waits for.
    awaiting: str = ""
    # How often each activity was asked for: the last part of its idempotency key.
    counts: dict[str, int] = field(default_factory=dict[str, int])
    ask: Ask | None = None
    # Repeats of the current step after a fault of infrastructure.
    retries: int = 0
    # Passed gates of which the pass may still be needed, by kind.
    passes: dict[str, GatePass] = field(default_factory=dict[str, GatePass])
    # Works of the run before whose results were taken.
    reused: list[str] = field(default_factory=list[str])
    # Requirement versions up to this number were turned down.
    rejected_number: int = 0

    base_sha: str = ""
    head_sha: str = ""
    # What the run's branch holds on the remote; empty while there is none.
    branch_sha: str = ""
    diff_hash: str = ""
    iteration: int = 1
    findings: list[Finding] = field(default_factory=list[Finding])
    verified_sha: str = ""
    verify_work_request_id: str = ""
    # Findings that a green verification still carried: people must see them.
    policy_findings: list[Finding] = field(default_factory=list[Finding])
    # What coders did besides their change, such as a refused connection: people must see it as well.
    coder_findings: list[Finding] = field(default_factory=list[Finding])

    acceptance: Acceptance | None = None
    # The Domain wants a decision where the run would have passed without one.
    acceptance_demanded: bool = False
    candidate: Candidate | None = None
    merge_rounds: int = 0
    merge_commit: str = ""

    build_uri: str = ""
    build_digest: str = ""
    image_ref: str = ""
    publish_work_request_id: str = ""
    release_id: str = ""
    environment: int = 0
    promotion_id: str = ""
    deployed: Deployed | None = None

    question: Question | None = None
    wind_down: WindDown | None = None
    ending: Ending | None = None
    # The Domain has refused to close the run with all that was still to be said.
    close_refused: bool = False

    # Of a triage run: how many of its reads are done, what it learned, and what stays open.
    reads_done: int = 0
    learned: list[str] = field(default_factory=list[str])
    unanswered: list[str] = field(default_factory=list[str])

    @classmethod
    def for_triage(cls, run: RunInput) -> RunState:
        """The state of a triage run that has done nothing yet. Fails as `at_start` does."""
        if run.triage is None or run.triage.triage is None or run.policy is None or run.policy.bounds is None:
            raise _incomplete("triage or policy")
        if run.repository is None or run.scope is None:
            raise _incomplete("repository or scope")
        return cls(requirement=Artifact(), iteration_limit=0)

    @classmethod
    def at_start(cls, run: RunInput) -> RunState:
        """The state of a run that has done nothing yet. An incomplete input fails the workflow, with the remedy."""
        bounds = run.policy.bounds if run.policy else None
        if run.requirement is None or run.requirement.current is None or bounds is None:
            raise _incomplete("requirement or policy")
        if run.repository is None or run.scope is None:
            raise _incomplete("repository or scope")
        return cls(requirement=run.requirement, iteration_limit=bounds.max_iterations)


def _incomplete(what: str) -> ApplicationError:
    return ApplicationError(f"The run's input lacks {what}. Start the next run of the change.", non_retryable=True)
