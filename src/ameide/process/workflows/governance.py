"""`r2r.governance.v1`: a requirement becomes a promoted release. The table is the course, read from top to bottom."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from ameide.process.steps import WORKFLOW_TYPE
from ameide.process.workflows import asides, gates, implementation, merge, release, requirement
from ameide.process.workflows.context import (
    CancelAsked,
    GateReturned,
    Refusal,
    RunContext,
    RunEnded,
)
from ameide.process.workflows.course import CourseRun
from ameide.process.workflows.delegation import Stuck
from ameide.process.workflows.failures import OVER, ask_budget, ask_human
from ameide.process.workflows.state import Ending, RunState, Step
from ameide_core_proto.process.transformation.v1.facts_pb import Phase
from ameide_core_proto.transformation.governance.v1.governance_pb import RunInput, RunStatus
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind


async def intake(run: RunContext) -> Step:
    """The run begins."""
    run.journal.started(WORKFLOW_TYPE)
    return Step.REQUIREMENT


COURSE: dict[Step, tuple[Phase | None, Callable[[RunContext], Awaitable[Step]]]] = {
    Step.INTAKE: (Phase.INTAKE, intake),
    # Requirement stabilized
    Step.REQUIREMENT: (Phase.AWAITING_APPROVAL, requirement.requirement),
    # Request work, iterate until green
    Step.PREFLIGHT: (Phase.EXECUTION, implementation.preflight),
    Step.SCAFFOLD: (Phase.EXECUTION, implementation.scaffold),
    Step.GENERATE: (Phase.EXECUTION, implementation.generate),
    Step.CODE: (Phase.EXECUTION, implementation.code),
    Step.VERIFY: (Phase.EXECUTION, implementation.verify),
    # Review, approve, merge what was verified
    Step.ACCEPTANCE: (Phase.ACCEPTANCE, implementation.acceptance),
    Step.PREPARE: (Phase.ACCEPTANCE, merge.prepare),
    Step.VERIFY_CANDIDATE: (Phase.ACCEPTANCE, merge.verify_candidate),
    Step.PUSH: (Phase.ACCEPTANCE, merge.push),
    # Release
    Step.READY_TO_RELEASE: (Phase.RELEASE, release.ready_to_release),
    Step.BUILD: (Phase.RELEASE, release.build),
    Step.PUBLISH: (Phase.RELEASE, release.publish),
    Step.RELEASE: (Phase.RELEASE, release.release),
    Step.PROMOTION: (Phase.RELEASE, release.promotion),
    Step.DEPLOY: (Phase.RELEASE, release.deploy),
    Step.ROLLOUT: (Phase.RELEASE, release.rollout),
    Step.SMOKE: (Phase.RELEASE, release.smoke),
    # Off the path, in whatever phase it was left
    Step.ASK_HUMAN: (None, asides.ask_human),
    Step.ASK_BUDGET: (None, asides.ask_budget),
    Step.WIND_DOWN: (None, asides.wind_down),
    Step.CLOSE: (Phase.TERMINAL, asides.close),
}
# Refusals of a pass that a new decision on exactly these bytes would lift.
_NO_PASS = ("GATE_NOT_PASSED", "GATE_SUPERSEDED", "GATE_MISMATCH", "GATE_CONSUMED")
_NOT_ACCEPTED = ("GATE_REQUIRED", "GATE_VOIDED", *_NO_PASS)
# What older workers did not do; their histories go on as they began.
_PASSES_END = "a refused pass is not shown again"
_CLOSES_BARE = "a refused end is said without the facts before it"
_NO_WAY_ON = (Step.ASK_HUMAN, Step.ASK_BUDGET, Step.WIND_DOWN)


@workflow.defn(name=WORKFLOW_TYPE)
class GovernanceRun(CourseRun):
    """One run of a change. Its workflow id is the run's process instance id; it returns the run's outcome."""

    @workflow.init
    def __init__(self, run: RunInput, carried: RunState | None = None) -> None:
        state = carried or RunState.at_start(run)
        self._run = RunContext(run, state)
        if carried is not None:
            self._run.journal.turn_page()

    @workflow.run
    async def run(self, run: RunInput, carried: RunState | None = None) -> str:
        """Take the course up where the state stands, until it ends or its history is full."""
        del carried  # the state that __init__ made of it goes on changing
        return await self._take(run)

    async def _advance(self) -> None:
        """One step, and whatever interrupts it."""
        state = self._run.state
        before = state.step
        try:
            self._run.absorb()
            self._run.interrupt()
            phase, step = COURSE[before]
            self._run.enter(phase)
            state.step = await step(self._run)
        except CancelAsked:
            state.step = asides.canceled(self._run)
        except GateReturned as voided:
            state.step = asides.returned(self._run, voided.kind)
        except RunEnded as ended:
            state.ending = Ending(ended.run.status, ended.run.outcome)
            state.step = Step.CLOSED
        except Stuck as stuck:
            state.ask = None
            state.step = ask_human(self._run, str(stuck), [], resume=before)
        except Refusal as refusal:
            state.step = self._refused(refusal)
        if state.step != before:
            state.retries = 0

    def _refused(self, refusal: Refusal) -> Step:
        """The Domain said no to a command of the current step."""
        state = self._run.state
        if state.step == Step.CLOSE:
            return self._close_refused(refusal)
        if refusal.reason in OVER and state.ending is None:
            # The fact that says so is on its way; closing a run that is closed already is no error.
            return asides.canceled(self._run)
        state.ask = None
        if refusal.reason == "SUBJECT_CHANGED" and state.step == Step.REQUIREMENT:
            return requirement.outdated(self._run)
        passes_end = refusal.reason in _NOT_ACCEPTED and workflow.patched(_PASSES_END)
        before = refusal.reason in _NOT_ACCEPTED and refusal.reason != "GATE_CONSUMED"
        if state.step == Step.PUSH and (passes_end or before):
            if passes_end:
                gates.retire(self._run, GateKind.ACCEPTANCE)
            state.acceptance = None
            state.acceptance_demanded = True
            return Step.ACCEPTANCE
        if passes_end and refusal.reason in _NO_PASS and (again := release.gate_again(self._run, state.step)):
            return again
        state.wind_down = None
        if state.step in _NO_WAY_ON:
            state.ending = state.ending or Ending(RunStatus.FAILED, "failed")
            return Step.CLOSE
        if refusal.reason == "BUDGET_EXHAUSTED":
            return ask_budget(self._run, refusal.message, resume=state.step)
        return ask_human(self._run, f"{state.step}: {refusal.message}", [], resume=state.step)

    def _close_refused(self, refusal: Refusal) -> Step:
        """A run must not stay open without its workflow. What is refused may be a fact that is said before the end.

        When nothing helps the workflow fails, and ingress closes its run.
        """
        state = self._run.state
        known = workflow.patched(_CLOSES_BARE)
        if known and refusal.reason == "IDEMPOTENCY_KEY_REUSED":
            # The same call had its effect before, under the name of another principal.
            return Step.CLOSED
        if state.close_refused or not known:
            raise ApplicationError(f"The run could not be closed: {refusal.message}", non_retryable=True) from refusal
        state.close_refused = True
        self._run.journal.drop()
        return Step.CLOSE
