"""Requesting work: whether a step may be delegated now, and what the executor is told. Authority comes from policy."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field

from protobuf import Message
from protobuf.wkt import Timestamp

from ameide.contracts.routing import route
from ameide.domain.decisions import change as changes
from ameide.domain.decisions import gate_pass, reuse, run, work_budget, work_rules
from ameide.domain.decisions.work import FALLBACK_TIMEOUTS, Claim
from ameide.errors import InvalidArgument, Refused
from ameide_core_proto.common.v1.metadata_pb import Actor, Scope
from ameide_core_proto.transformation.governance.v1.governance_pb import Change, Gate, Repository, Run
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.work.v1.command_service_pb import RequestWorkRequest
from ameide_core_proto.transformation.work.v1.facts_pb import WorkRequested
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    Budget,
    RequestedBy,
    TimeoutPolicy,
    Usage,
    WorkInputs,
    WorkKind,
    WorkRequest,
    WorkStatus,
)

_FINAL = (ActionKind.MERGE, ActionKind.PUBLISH, ActionKind.DEPLOY)


@dataclass(frozen=True, slots=True)
class Grounds:
    """All that the decision rests on. `policy` is the one in force; the run's snapshot lies in the run."""

    repository: Repository
    policy: Policy
    change: Change | None = None
    run: Run | None = None
    # Gates of the run; works and claims of the change, if the decision looks back.
    gates: Sequence[Gate] = field(default_factory=list[Gate])
    works: Sequence[WorkRequest] = field(default_factory=list[WorkRequest])
    claims: Sequence[Claim] = field(default_factory=list[Claim])
    # The tenant's, locked, for a work that counts; None without a limit.
    tenant: work_budget.Account | None = None
    # What conversations about the change used, for a work that counts in a change with a limit.
    talked: Usage | None = None


def request(
    command: RequestWorkRequest, work_request_id: str, grounds: Grounds, actor: Actor, now: Timestamp
) -> list[Message]:
    """The new work, and the gate that it uses up.

    Raises Refused (CHANGE_CANCELED, CHANGE_CLOSED, RUN_CLOSED, RUN_REQUIRED, NOT_VERIFIED, NOT_BUILT, GATE_…,
    BUDGET_EXHAUSTED) or InvalidArgument; each names the remedy.
    """
    _need_open(command, grounds)
    work = _fill(command, work_request_id, grounds, actor, now)
    work_rules.check(work, grounds.repository, grounds.run)
    consumed = gate_pass.check(work, grounds.run, grounds.policy, grounds.gates, grounds.works, grounds.claims)
    work.budget = work_budget.reserve(
        work,
        grounds.policy,
        grounds.change,
        grounds.gates,
        grounds.works,
        grounds.claims,
        grounds.tenant,
        grounds.talked,
    )
    reuse.record_digest(work)
    facts: list[Message] = [consumed] if consumed else []
    return [*facts, WorkRequested(work=work)]


def looks_back(command: RequestWorkRequest, grounds: Grounds) -> bool:
    """Whether the decision rests on what the change's works have done: final steps, and all under a budget."""
    final = command.work_kind == WorkKind.TOOL_RUN and command.action_kind in _FINAL
    return final or work_budget.limit_of(grounds.policy, grounds.change) != Budget()


def counts(command: RequestWorkRequest) -> bool:
    """Whether the work will count against budgets."""
    return work_budget.is_counted(WorkRequest(work_kind=command.work_kind, budget=command.budget))


def _need_open(command: RequestWorkRequest, grounds: Grounds) -> None:
    if grounds.change is not None:
        changes.need_open(grounds.change)
        if grounds.change.repository_id != command.repository_id:
            raise InvalidArgument(
                f"change {grounds.change.change_id} is on {grounds.change.repository_id}",
                field="repository_id",
                remedy="Use the repository of the change",
            )
    if grounds.run is not None:
        run.need_open_run(grounds.run)
        if grounds.run.cancel_requested:
            raise Refused(
                f"run {grounds.run.process_instance_id} is being canceled",
                remedy="Start run n + 1 once it has ended",
                reason="RUN_CLOSED",
            )
        if command.change_id and command.change_id != grounds.run.change_id:
            raise InvalidArgument(
                f"the run belongs to {grounds.run.change_id}", field="change_id", remedy="Use the change of the run"
            )


def _fill(
    command: RequestWorkRequest, work_request_id: str, grounds: Grounds, actor: Actor, now: Timestamp
) -> WorkRequest:
    repository, policy = grounds.repository, grounds.policy
    agent = command.work_kind == WorkKind.AGENT_WORK
    change_id = grounds.change.change_id if grounds.change else ""
    inputs = deepcopy(command.inputs) if command.inputs else WorkInputs()
    inputs.change_id = change_id
    asked = command.requested_by or RequestedBy()
    snapshot = grounds.run.input if grounds.run else None
    return WorkRequest(
        scope=Scope(
            tenant_id=repository.scope.tenant_id if repository.scope else "", repository_id=repository.repository_id
        ),
        work_request_id=work_request_id,
        client_request_id=command.client_request_id,
        process_instance_id=command.process_instance_id,
        change_id=change_id,
        work_kind=command.work_kind,
        action_kind=command.action_kind,
        requested_by=RequestedBy(activity_id=asked.activity_id, actor=actor),
        repo_url=repository.url,
        credential_ref=repository.credential_ref,
        base_sha=command.base_sha,
        commit_sha=command.commit_sha,
        workdir=command.workdir or repository.workdir,
        inputs=inputs,
        verification_suite_ref=command.verification_suite_ref,
        timeout_policy=_timeouts(command.timeout_policy, policy.agent_timeouts if agent else policy.tool_timeouts),
        lost_claim_retries=command.lost_claim_retries or (policy.bounds.lost_claim_retries if policy.bounds else 0),
        budget=command.budget or Budget(),
        status=WorkStatus.REQUESTED,
        dispatch=1,
        requested_at=now,
        gate_pass=command.gate_pass,
        queue=route(command.work_kind, command.action_kind, command.verification_suite_ref),
        path_rules=policy.paths,
        verify_secrets=policy.verify_secrets if _verifies(command) else [],
        commit_identity=policy.commit_identity,
        checkout=policy.checkout,
        coder=(command.coder or (snapshot.coder if snapshot else "") or policy.coder) if agent else "",
        version=1,
        summary=command.summary,
    )


def _verifies(command: RequestWorkRequest) -> bool:
    return command.work_kind == WorkKind.TOOL_RUN and command.action_kind in (ActionKind.VERIFY, ActionKind.PREFLIGHT)


def _timeouts(asked: TimeoutPolicy | None, allowed: TimeoutPolicy | None) -> TimeoutPolicy:
    """A command may tighten what the policy allows, never widen it."""
    asked, allowed = asked or TimeoutPolicy(), allowed or TimeoutPolicy()

    def tighter(name: str) -> int:
        limit = int(getattr(allowed, name)) or int(getattr(FALLBACK_TIMEOUTS, name))
        return min(int(getattr(asked, name)) or limit, limit)

    return TimeoutPolicy(
        claim_by_seconds=tighter("claim_by_seconds"),
        run_for_seconds=tighter("run_for_seconds"),
        silent_for_seconds=tighter("silent_for_seconds"),
    )
