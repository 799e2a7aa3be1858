"""What a message says, in one sentence for people. Never more than the message itself tells."""

from __future__ import annotations

from typing import Any

from protobuf import Message

from ameide.views.agent_sentences import agent_sentence
from ameide.views.process_sentences import process_sentence
from ameide_core_proto.common.v1.metadata_pb import Actor
from ameide_core_proto.transformation.governance.v1 import facts_pb as governance
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    Change,
    Gate,
    Promotion,
    Release,
    RunKind,
    TenantBudget,
)
from ameide_core_proto.transformation.knowledge.v1 import facts_pb as knowledge
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact
from ameide_core_proto.transformation.work.v1 import facts_pb as work
from ameide_core_proto.transformation.work.v1.work_pb import Budget, WorkRequest, WorkResult

_MAX = 500
_GATE_VERBS = {"GateOpened": "opened", "GateExpired": "expired undecided"}
_CHANGE_VERBS = {"ChangeOpened": "opened", "ChangeClosed": "closed", "ChangeCanceled": "canceled"}
_ARTIFACT_VERBS = {
    "ArtifactProposed": "drafted",
    "ArtifactRevised": "revised",
    "ArtifactSubmitted": "submitted for approval",
    "ArtifactApproved": "approved",
    "ArtifactRejected": "rejected",
}


_AGENTS = {"PUBLISH": " by the coder", "ANALYZE": " by the analyst"}


def sentence(fact: Message[Any]) -> str:
    """The sentence of a fact; the name of a case that has none of its own. At most 500 characters, one line."""
    return " ".join(_sentence(fact).replace("\0", "").split())[:_MAX]


def who(actor: Actor | None) -> str:
    """The principal, and on whose behalf."""
    if actor is None or not actor.principal_id:
        return "somebody"
    return f"{actor.principal_id} for {actor.on_behalf_of}" if actor.on_behalf_of else actor.principal_id


def step(state: WorkRequest) -> str:
    """What a work does, e.g. `VERIFY at 1a2b3c4d5e6f`."""
    agent = _AGENTS.get(state.action_kind.name, "") if state.work_kind.name == "AGENT_WORK" else ""
    iteration = f", iteration {state.inputs.iteration}" if state.inputs and state.inputs.iteration else ""
    at = f" at {state.commit_sha[:12]}" if state.commit_sha else ""
    return f"{state.action_kind.name}{agent}{at}{iteration}"


def _sentence(fact: Message[Any]) -> str:
    name = type(fact).__name__
    match fact:
        case work.WorkRequested() | work.WorkStarted() | work.WorkCompleted() | work.WorkFailed() | work.WorkCanceled():
            return _work(name, fact.work) if fact.work else name
        case (
            governance.GateOpened()
            | governance.GateVoteRecorded()
            | governance.GateDecided()
            | governance.GateVoided()
            | governance.GateExpired()
            | governance.GateConsumed()
        ):
            return _gate(name, fact.gate) if fact.gate else name
        case (
            knowledge.ArtifactProposed()
            | knowledge.ArtifactRevised()
            | knowledge.ArtifactSubmitted()
            | knowledge.ArtifactApproved()
            | knowledge.ArtifactRejected()
        ):
            return _artifact(name, fact.artifact) if fact.artifact else name
        case governance.ChangeBudgetSettled(change=Change() as change):
            used = change.usage
            tokens = used.input_tokens + used.output_tokens if used else 0
            return f"budget settled: {tokens} tokens, {used.cost_micros if used else 0} micros used so far"
        case governance.ChangeOpened() | governance.ChangeClosed() | governance.ChangeCanceled():
            return _change(name, fact.change) if fact.change else name
        case governance.ReleaseRecorded(release=Release() as release):
            return f"release of {release.component} from {release.commit_sha[:12]}: {release.image_ref}"
        case (
            governance.PromotionRequested()
            | governance.PromotionProposed()
            | governance.PromotionMerged()
            | governance.RolloutHealthRecorded()
        ):
            return _promotion(name, fact.promotion) if fact.promotion else name
        case _:
            return _rest(name, fact)


def _rest(name: str, fact: Message[Any]) -> str:
    match fact:
        case governance.RepositoryRegistered() if fact.repository:
            return f"repository {fact.repository.name} registered at {fact.repository.url}"
        case governance.PolicyAdopted() if fact.policy:
            return f"policy version {fact.policy.version} of {fact.policy.repository_id} adopted"
        case governance.RunQueued() if fact.run:
            return f"run {fact.run.number} waits in line, number {fact.run.queue_number} of its repository"
        case governance.RunRequested() if fact.run:
            what = "triage run" if fact.run.kind == RunKind.TRIAGE else "run"
            return f"{what} {fact.run.number} requested"
        case governance.RunCancelRequested() if fact.run:
            return f"cancellation of run {fact.run.number} requested"
        case governance.RunClosed() if fact.run:
            return f"run {fact.run.number} closed: {fact.run.status.name.lower()}, {fact.run.outcome}"
        case governance.PrincipalAdmitted() if fact.principal:
            return f"{fact.principal.principal_id} admitted as {', '.join(fact.principal.roles)}"
        case governance.TenantBudgetAllotted() if fact.tenant_budget:
            return _allotted(fact.tenant_budget)
        case work.WorkExecutionRequested():
            return f"invitation {fact.dispatch} to claim {fact.action_kind.name} on {fact.queue}"
        case _:
            return agent_sentence(fact) or process_sentence(fact) or name


def _allotted(tenant: TenantBudget) -> str:
    budget = tenant.budget or Budget()
    limits = [f"{budget.max_tokens} tokens"] if budget.max_tokens else []
    limits += [f"{budget.max_cost_micros} cost_micros"] if budget.max_cost_micros else []
    period = tenant.period.name.lower().replace("_", " ")
    why = f": {tenant.comment}" if tenant.comment else ""
    return f"tenant's budget version {tenant.version} allotted, {' and '.join(limits) or 'no limit'}, {period}{why}"


def _work(name: str, state: WorkRequest) -> str:
    result = state.result or WorkResult()
    match name:
        case "WorkRequested":
            return f"{step(state)} requested"
        case "WorkStarted":
            return f"{step(state)} started, attempt {state.attempt}, by {state.executor_principal_id}"
        case "WorkFailed":
            found = f", {len(result.findings)} findings" if result.findings else ""
            return f"{step(state)} failed: {result.failure_code.name}{found}. {result.summary}"
        case "WorkCanceled":
            return f"{step(state)} canceled. {result.summary}"
        case _:
            to = result.outputs.commit_sha[:12] if result.outputs and result.outputs.commit_sha else ""
            return f"{step(state)} completed{' with commit ' + to if to else ''}. {result.summary}"


def _gate(name: str, gate: Gate) -> str:
    kind = gate.kind.name
    vote = gate.votes[-1] if gate.votes else None
    match name:
        case "GateDecided":
            verdict = gate.status.name.lower()
            return f"gate {kind} {verdict} by {who(gate.decided_by)}{': ' + gate.comment if gate.comment else ''}"
        case "GateVoteRecorded" if vote:
            said = f": {vote.comment}" if vote.comment else ""
            return f"{who(vote.actor)} voted {vote.verdict.name.lower()} at gate {kind}{said}"
        case "GateVoided":
            return f"gate {kind} voided: {gate.void_reason}"
        case "GateConsumed":
            return f"pass of gate {kind} used by {gate.consumed_by}"
        case _:
            return f"gate {kind} {_GATE_VERBS.get(name, name)}"


def _artifact(name: str, artifact: Artifact) -> str:
    version = artifact.current
    title = version.content.title if version and version.content else ""
    number = version.number if version else 0
    return f"{artifact.kind.name.lower()} version {number} {_ARTIFACT_VERBS[name]}: {title}"


def _change(name: str, change: Change) -> str:
    why = f" because {change.cancel_reason}" if change.cancel_reason else ""
    return f"change {_CHANGE_VERBS[name]}: {change.title}{why}"


def _promotion(name: str, promotion: Promotion) -> str:
    to = f"promotion to {promotion.environment}"
    match name:
        case "PromotionRequested":
            return f"{to} requested: {promotion.image_ref}"
        case "PromotionProposed":
            return f"{to} proposed: {promotion.pr_url}"
        case "PromotionMerged":
            return f"{to} merged as {promotion.gitops_commit_sha[:12]}"
        case _:
            return f"{promotion.environment} is {promotion.status.name.lower()}: {promotion.health_summary}"
