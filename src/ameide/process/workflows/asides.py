"""Where the course leaves its path: a person is asked, open work is wound down, the run is closed."""

from __future__ import annotations

from ameide.process.steps import CLOSE_RUN
from ameide.process.workflows import gates
from ameide.process.workflows.context import RunContext
from ameide.process.workflows.delegation import Stuck, cancel, outcome_of, settle
from ameide.process.workflows.state import Ending, Step, WindDown
from ameide_core_proto.transformation.governance.v1.command_service_pb import CloseRunRequest
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    GateParameters,
    GateSubject,
    RunStatus,
)
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.work.v1.work_pb import WorkStatus

# Steps whose effect on the outside cannot be taken back once they succeeded.
_EFFECTS = (Step.PUSH, Step.PUBLISH, Step.DEPLOY)
_RETURN = {
    GateKind.REQUIREMENT_STABILIZED: Step.REQUIREMENT,
    GateKind.ACCEPTANCE: Step.ACCEPTANCE,
    GateKind.READY_TO_RELEASE: Step.READY_TO_RELEASE,
    GateKind.PROMOTION: Step.PROMOTION,
    GateKind.NEEDS_HUMAN: Step.ASK_HUMAN,
    GateKind.BUDGET: Step.ASK_BUDGET,
}


async def ask_human(run: RunContext) -> Step:
    """Gate NEEDS_HUMAN: approve means go on (with more iterations), reject or expiry that the run fails."""
    return await _ask(run, GateKind.NEEDS_HUMAN, "needs_human_rejected")


async def ask_budget(run: RunContext) -> Step:
    """Gate BUDGET: approve carries the new budget, which the Domain has granted by then; reject: the run fails."""
    return await _ask(run, GateKind.BUDGET, "failed")


async def _ask(run: RunContext, kind: GateKind, outcome: str) -> Step:
    state = run.state
    question = state.question
    assert question is not None
    subject = GateSubject(commit_sha=state.head_sha, reason=question.reason, findings=question.findings)
    decided = await gates.gate(run, kind, subject)
    if decided.status not in gates.PASSED:
        state.ending = Ending(RunStatus.FAILED, outcome)
        return Step.CLOSE
    state.question = None
    granted = (decided.parameters or GateParameters()).more_iterations
    if question.next_iteration:
        state.iteration += 1
        granted = granted or 1
    state.iteration_limit = (
        max(state.iteration_limit, state.iteration)
        if not granted
        else max(state.iteration_limit, state.iteration - 1 + granted)
    )
    return question.resume


def canceled(run: RunContext) -> Step:
    """The change or run was canceled: open work ends first."""
    turned_down = run.state.step == Step.REQUIREMENT and run.state.rejected_number > 0 and run.state.ask is None
    run.state.ending = Ending(RunStatus.CANCELED, "requirement_rejected" if turned_down else "canceled")
    run.state.wind_down = WindDown(Step.CLOSE, run.state.step)
    return Step.WIND_DOWN


def returned(run: RunContext, kind: GateKind) -> Step:
    """A gate was voided: back to it, after open work has ended."""
    state = run.state
    gates.retire(run, kind)
    if kind in (GateKind.REQUIREMENT_STABILIZED, GateKind.ACCEPTANCE):
        state.acceptance = None
    if kind == GateKind.REQUIREMENT_STABILIZED:
        # The version that was approved is not the newest any more.
        number = state.requirement.current.number if state.requirement.current else 0
        state.rejected_number = max(state.rejected_number, number)
        state.candidate = None
    state.wind_down = WindDown(_RETURN[kind], state.step)
    return Step.WIND_DOWN


async def wind_down(run: RunContext) -> Step:
    """Cancel what is open and wait until it has ended; then go where the interruption leads.

    A push that got through all the same happened: the course then goes on behind it, unless the run is canceled.
    """
    state = run.state
    plan, ask = state.wind_down, state.ask
    assert plan is not None
    if ask is not None and ask.ref and ask.is_gate:
        await gates.void_gate(run, ask.ref, "The run goes another way.")
        state.inbox.close("gate", ask.ref)
    elif ask is not None and ask.ref:
        if not ask.cancel_sent:
            await cancel(run, ask, "The run was canceled." if state.ending else "A gate was voided.")
        try:
            known = await outcome_of(run, ask)
        except Stuck:
            state.inbox.close("work", ask.ref)
        else:
            got_through = known.work is not None and known.work.status == WorkStatus.SUCCEEDED
            if got_through and plan.origin in _EFFECTS and state.ending is None:
                state.wind_down = None
                return plan.origin
            settle(run, ask, known)
    state.ask = None
    state.wind_down = None
    if plan.then == Step.REQUIREMENT:
        await gates.void(run, GateKind.ACCEPTANCE, "The requirement changed.")
    return plan.then


async def close(run: RunContext) -> Step:
    """`CloseRun`, with the last process facts before it."""
    end = run.state.ending or Ending(RunStatus.FAILED, "failed")
    run.state.ending = end
    run.journal.ended(end.status, end.outcome)
    await run.command(
        CLOSE_RUN,
        CloseRunRequest(
            scope=run.run.scope,
            client_request_id=run.key("close_run", 1),
            process_instance_id=run.run.process_instance_id,
            status=end.status,
            outcome=end.outcome,
        ),
    )
    return Step.CLOSED
