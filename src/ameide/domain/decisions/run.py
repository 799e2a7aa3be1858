"""Runs of a change: requested, asked to cancel, closed. Trying again is run n + 1."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

from protobuf.wkt import Timestamp

from ameide.contracts.ids import process_instance_id
from ameide.domain.decisions.artifact import need_agreement, need_current
from ameide.domain.decisions.change import need_open
from ameide.errors import Refused
from ameide_core_proto.common.v1.metadata_pb import Actor, Scope
from ameide_core_proto.transformation.governance.v1.facts_pb import RunCancelRequested, RunClosed, RunRequested
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    Change,
    Repository,
    ReusableWork,
    Run,
    RunInput,
    RunKind,
    RunStatus,
)
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import (
    Artifact,
    ArtifactContent,
    ArtifactKind,
    ArtifactStatus,
    Provenance,
)

WORKFLOW_TYPE = "r2r.governance.v1"
TRIAGE_WORKFLOW_TYPE = "r2r.triage.v1"
TASK_QUEUE = "ameide-r2r"
# A run that ended like this leaves nothing to do: its change closes with it.
FINISHING_OUTCOMES = frozenset({"delivered", "merged"})


def start(
    change: Change,
    repository: Repository,
    policy: Policy,
    requirement: Artifact,
    coder: str,
    actor: Actor,
    now: Timestamp,
    from_step: str = "",
    reusable: Sequence[ReusableWork] = (),
    conversation_id: str = "",
    expected_number: int = 0,
) -> RunRequested:
    """The next run, with all that its workflow is started with; `reusable` is what it may take from the one before.

    Raises Conflict(STALE_VERSION) when a version of the requirement is expected and the newest one is another.
    """
    need_no_run(change)
    current = requirement.current
    if requirement.kind != ArtifactKind.REQUIREMENT or requirement.change_id != change.change_id or current is None:
        raise Refused(
            "the artifact is no requirement of this change",
            field="artifact_id",
            remedy="Name one of this change's, or leave it out",
            reason="NOT_ITS_REQUIREMENT",
        )
    if expected_number:
        need_current(requirement, expected_number)
    if current.status not in (ArtifactStatus.PROPOSED, ArtifactStatus.APPROVED):
        raise Refused(
            f"the requirement is {current.status.name.lower()}",
            remedy="Submit it with SubmitArtifact first",
            reason="REQUIREMENT_NOT_SUBMITTED",
        )
    given = RunInput(
        kind=RunKind.GOVERNANCE,
        requirement=requirement,
        coder=coder or policy.coder,
        from_step=from_step,
        reusable=list(reusable),
        conversation_id=conversation_id,
    )
    return _requested(change, repository, policy, given, WORKFLOW_TYPE, actor, now)


def start_triage(
    change: Change,
    repository: Repository,
    policy: Policy,
    content: ArtifactContent,
    coder: str,
    actor: Actor,
    now: Timestamp,
    conversation_id: str = "",
    provenance: Provenance | None = None,
) -> RunRequested:
    """The next run, which looks at a triage and proposes it. Raises InvalidArgument for what is no triage."""
    need_no_run(change)
    need_agreement(ArtifactKind.TRIAGE, content)
    given = RunInput(
        kind=RunKind.TRIAGE,
        triage=content,
        coder=coder or policy.coder,
        conversation_id=conversation_id,
        provenance=provenance,
    )
    return _requested(change, repository, policy, given, TRIAGE_WORKFLOW_TYPE, actor, now)


def _requested(
    change: Change,
    repository: Repository,
    policy: Policy,
    given: RunInput,
    workflow_type: str,
    actor: Actor,
    now: Timestamp,
) -> RunRequested:
    tenant_id = change.scope.tenant_id if change.scope else ""
    number = change.last_run_number + 1
    instance = process_instance_id(tenant_id, change.change_id, number)
    scope = Scope(tenant_id=tenant_id, repository_id=repository.repository_id)
    given.scope, given.process_instance_id = scope, instance
    given.change_id, given.run_number = change.change_id, number
    given.repository, given.policy = repository, policy
    return RunRequested(
        run=Run(
            scope=scope,
            process_instance_id=instance,
            change_id=change.change_id,
            number=number,
            kind=given.kind,
            status=RunStatus.OPEN,
            workflow_type=workflow_type,
            task_queue=TASK_QUEUE,
            input=given,
            requested_by=actor,
            requested_at=now,
            version=1,
        )
    )


def need_no_run(change: Change) -> None:
    """Raises Refused unless the change is open and has no run that is."""
    need_open(change)
    if change.open_run_id:
        raise Refused(
            f"run {change.open_run_id} is open", remedy="Wait for it, or cancel the change", reason="RUN_OPEN"
        )


def need_open_run(run: Run) -> None:
    """Raises Refused unless the run is open."""
    if run.status == RunStatus.QUEUED:
        raise Refused(
            f"run {run.process_instance_id} waits in line", remedy="Wait until it has started", reason="RUN_QUEUED"
        )
    if run.status != RunStatus.OPEN:
        raise Refused(f"run {run.process_instance_id} is closed", remedy="Start run n + 1", reason="RUN_CLOSED")


def request_cancel(run: Run) -> RunCancelRequested:
    """Asks the process to wind down."""
    need_open_run(run)
    changed = deepcopy(run)
    changed.version += 1
    changed.cancel_requested = True
    return RunCancelRequested(run=changed)


def close(run: Run, status: RunStatus, outcome: str, now: Timestamp) -> RunClosed | None:
    """Ends the run; None when it is closed already, which a process that repeats itself may say."""
    if run.status not in (RunStatus.OPEN, RunStatus.QUEUED):
        return None
    changed = deepcopy(run)
    changed.version += 1
    changed.status = status
    changed.outcome = outcome
    changed.closed_at = now
    return RunClosed(run=changed)
