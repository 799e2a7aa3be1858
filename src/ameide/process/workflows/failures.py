"""What follows a failure (contracts 6): the same step again, the coder, the budget's owner, or a person."""

from __future__ import annotations

from collections.abc import Sequence

from ameide.process.workflows.context import RunContext
from ameide.process.workflows.delegation import why
from ameide.process.workflows.state import Question, Step
from ameide_core_proto.transformation.work.v1.work_pb import (
    FailureCode,
    Finding,
    FindingClass,
    WhereToFix,
    WorkRequest,
    WorkResult,
)

INFRASTRUCTURE = (
    FailureCode.LEASE_LOST,
    FailureCode.TIMEOUT,
    FailureCode.CHECKOUT_FAILED,
    FailureCode.INTERNAL,
)
"""Failures after which the same step may succeed."""
OVER = ("CHANGE_CANCELED", "CHANGE_CLOSED", "RUN_CANCELED", "RUN_CLOSED")
"""Refusals by which the Domain says that the run is being canceled, or is over."""

_FOR_THE_CODER = (FailureCode.VERIFICATION_FAILED, FailureCode.CONFLICT, FailureCode.POLICY_VIOLATION)
_MAX_REASON = 2000
_MAX_FINDINGS = 50


def code_of(work: WorkRequest) -> FailureCode:
    """The failure's code; unspecified for a work that was canceled."""
    return (work.result or WorkResult()).failure_code


def findings_of(work: WorkRequest) -> list[Finding]:
    """What a work found."""
    return list((work.result or WorkResult()).findings)


def after_failure(run: RunContext, step: Step, work: WorkRequest) -> Step:
    """The way on from a step before the merge."""
    if code_of(work) in _FOR_THE_CODER:
        return to_coder(run, findings_of(work) or [_unexplained(work)])
    return _after_fault(run, step, work, retried=INFRASTRUCTURE)


def after_merge_failure(run: RunContext, step: Step, work: WorkRequest) -> Step:
    """The way on from a step after the merge, where no coder helps: a conflict, too, is met by trying again."""
    return _after_fault(run, step, work, retried=(*INFRASTRUCTURE, FailureCode.CONFLICT))


def _after_fault(run: RunContext, step: Step, work: WorkRequest, retried: Sequence[FailureCode]) -> Step:
    code = code_of(work)
    if code in retried and run.state.retries < run.bounds.max_step_retries:
        run.state.retries += 1
        return step
    if code == FailureCode.BUDGET_EXHAUSTED:
        return ask_budget(run, _told(step, work), resume=step)
    next_iteration = step == Step.CODE and code == FailureCode.TOOL_FAILED
    return ask_human(run, _told(step, work), findings_of(work), resume=step, next_iteration=next_iteration)


def to_coder(run: RunContext, findings: Sequence[Finding]) -> Step:
    """Another iteration with these findings, or a person when the iterations are used up."""
    state = run.state
    state.findings = list(findings)
    state.candidate = None
    if state.iteration >= state.iteration_limit:
        reason = f"{state.iteration} coder iterations are used up."
        return ask_human(run, reason, findings, resume=Step.CODE, next_iteration=True)
    state.iteration += 1
    return Step.CODE


def ask_human(
    run: RunContext, reason: str, findings: Sequence[Finding], *, resume: Step, next_iteration: bool = False
) -> Step:
    """A person decides whether and how the run goes on; they see these findings and the last ones before them."""
    seen = {finding.id for finding in findings}
    earlier = [finding for finding in run.state.findings if finding.id not in seen]
    shown = [*findings, *earlier][:_MAX_FINDINGS]
    run.state.question = Question(reason[:_MAX_REASON], resume, shown, next_iteration)
    return Step.ASK_HUMAN


def ask_budget(run: RunContext, reason: str, *, resume: Step) -> Step:
    """Whoever grants budgets decides whether the run may spend more."""
    run.state.question = Question(reason[:_MAX_REASON], resume)
    return Step.ASK_BUDGET


def from_review(gate_id: str, comment: str) -> Finding:
    """A reviewer's rejection as the coder is told it."""
    return Finding(
        class_=FindingClass.TEST_FAILURE,
        id=f"acceptance/{gate_id}",
        what_failed=comment[:_MAX_REASON],
        why_it_matters="The change was not accepted.",
        where_to_fix=WhereToFix.IMPLEMENTATION,
    )


def _unexplained(work: WorkRequest) -> Finding:
    """A failure without findings, so that the coder is told at least its summary."""
    kind = {
        FailureCode.POLICY_VIOLATION: FindingClass.POLICY_VIOLATION,
        FailureCode.CONFLICT: FindingClass.MERGE_CONFLICT,
    }.get(code_of(work), FindingClass.TEST_FAILURE)
    summary = (work.result or WorkResult()).summary
    return Finding(class_=kind, id=f"work/{work.work_request_id}", what_failed=summary[:_MAX_REASON])


def _told(step: Step, work: WorkRequest) -> str:
    summary = (work.result or WorkResult()).summary
    return f"{step}: {why(work)}. {summary}".strip()
