"""What is pushed to main was verified as that commit and is the patch that was accepted."""

from __future__ import annotations

from ameide.process.workflows import gates, orders
from ameide.process.workflows.context import RunContext
from ameide.process.workflows.delegation import delegate, outputs
from ameide.process.workflows.failures import after_failure, ask_human, code_of, findings_of
from ameide.process.workflows.implementation import note_green
from ameide.process.workflows.state import Candidate, Step
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode, WorkRequest, WorkStatus

MAIN_MOVED, BRANCH_MOVED = "main_moved", "branch_moved"


async def prepare(run: RunContext) -> Step:
    """MERGE prepare: the head on the current main. Another patch than the accepted one goes back to acceptance."""
    state = run.state
    number = state.counts.get("merge_prepare", 0) + (0 if state.ask else 1)
    work = await delegate(run, "merge_prepare", orders.prepare(run.run, state, number))
    if _found(work, BRANCH_MOVED):
        return await _with_the_person(run, work)
    if work.status != WorkStatus.SUCCEEDED:
        return after_failure(run, Step.PREPARE, work)
    made = outputs(work)
    candidate = Candidate(made.commit_sha, made.base_sha, made.diff_hash or state.diff_hash, made.branch)
    state.candidate = candidate
    if state.acceptance is not None and candidate.diff_hash != state.acceptance.diff_hash:
        await _unaccept(run, "The patch changed on the current main.")
    return _once_verified(run, candidate)


async def verify_candidate(run: RunContext) -> Step:
    """TOOL_RUN VERIFY at the candidate; red goes back to the coder."""
    candidate = run.state.candidate
    if candidate is None:
        return Step.PREPARE
    work = await delegate(run, "verify", orders.verify_candidate(run.run, run.state, candidate))
    if work.status != WorkStatus.SUCCEEDED:
        return after_failure(run, Step.VERIFY_CANDIDATE, work)
    note_green(run, work, candidate.commit_sha)
    accepted = run.state.acceptance
    if accepted and not {finding.id for finding in run.state.policy_findings} <= set(accepted.finding_ids):
        await _unaccept(run, "Verification of the candidate found what nobody has accepted.")
    return _once_verified(run, candidate)


def _once_verified(run: RunContext, candidate: Candidate) -> Step:
    if candidate.commit_sha != run.state.verified_sha:
        return Step.VERIFY_CANDIDATE
    return Step.PUSH if run.state.acceptance else Step.ACCEPTANCE


async def _unaccept(run: RunContext, reason: str) -> None:
    run.state.acceptance = None
    await gates.void(run, GateKind.ACCEPTANCE, reason)


async def push(run: RunContext) -> Step:
    """MERGE push by compare-and-swap; main moved: prepare again, within the policy's bound."""
    state = run.state
    candidate = state.candidate
    if candidate is None:
        return Step.PREPARE
    order = orders.push(run.run, state, candidate, gates.taken(run, GateKind.ACCEPTANCE))
    work = await delegate(run, "merge_push", order)
    if work.status == WorkStatus.SUCCEEDED:
        state.merge_commit = outputs(work).commit_sha or candidate.commit_sha
        gates.retire(run, GateKind.REQUIREMENT_STABILIZED, GateKind.ACCEPTANCE)
        return Step.READY_TO_RELEASE
    if _found(work, BRANCH_MOVED):
        return await _with_the_person(run, work)
    if not _found(work, MAIN_MOVED):
        return after_failure(run, Step.PUSH, work)
    state.candidate = None
    state.merge_rounds += 1
    if state.merge_rounds >= run.bounds.max_merge_rounds:
        state.merge_rounds = 0
        return ask_human(run, "Main keeps moving while the change is merged.", findings_of(work), resume=Step.PREPARE)
    return Step.PREPARE


async def _with_the_person(run: RunContext, work: WorkRequest) -> Step:
    """A person has pushed to the run's branch: their commits become the head, which nobody has verified or accepted."""
    state = run.state
    state.head_sha = state.branch_sha = outputs(work).commit_sha
    state.candidate = None
    await _unaccept(run, "Somebody pushed to the branch of the run.")
    return Step.VERIFY


def _found(work: WorkRequest, identity: str) -> bool:
    return code_of(work) == FailureCode.CONFLICT and any(item.id == identity for item in findings_of(work))
