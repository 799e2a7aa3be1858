"""`r2r.triage.v1`: somebody's triage is checked against what there is, and becomes an artifact of its change.

It touches nothing: it reads what the policy declares, delegates an analysis if asked, and proposes. The change stays
open; a run of its requirement is the next one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from ameide.process.steps import TRIAGE_WORKFLOW_TYPE
from ameide.process.workflows import asides, triaging
from ameide.process.workflows.context import CancelAsked, Refusal, RunContext, RunEnded
from ameide.process.workflows.course import CourseRun
from ameide.process.workflows.failures import OVER
from ameide.process.workflows.state import Ending, RunState, Step
from ameide_core_proto.process.transformation.v1.facts_pb import Phase
from ameide_core_proto.transformation.governance.v1.governance_pb import RunInput, RunStatus

COURSE: dict[Step, tuple[Phase | None, Callable[[RunContext], Awaitable[Step]]]] = {
    Step.INTAKE: (Phase.INTAKE, triaging.intake),
    Step.READ: (Phase.TRIAGE, triaging.read),
    Step.ANALYZE: (Phase.TRIAGE, triaging.analyze),
    Step.PROPOSE: (Phase.TRIAGE, triaging.propose),
    Step.WIND_DOWN: (None, asides.wind_down),
    Step.CLOSE: (Phase.TERMINAL, asides.close),
}


@workflow.defn(name=TRIAGE_WORKFLOW_TYPE)
class TriageRun(CourseRun):
    """One triage run of a change. Its workflow id is the run's process instance id; it returns the run's outcome."""

    @workflow.init
    def __init__(self, run: RunInput, carried: RunState | None = None) -> None:
        state = carried or RunState.for_triage(run)
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
        except RunEnded as ended:
            state.ending = Ending(ended.run.status, ended.run.outcome)
            state.step = Step.CLOSED
        except Refusal as refusal:
            state.step = self._refused(refusal)
        if state.step != before:
            state.retries = 0

    def _refused(self, refusal: Refusal) -> Step:
        """The Domain said no to a command of the current step."""
        state = self._run.state
        if state.step == Step.CLOSE:
            if refusal.reason == "IDEMPOTENCY_KEY_REUSED":
                # Said before, under the name of another principal.
                return Step.CLOSED
            if state.close_refused:
                why = f"The run could not be closed: {refusal.message}"
                raise ApplicationError(why, non_retryable=True) from refusal
            # What is refused may be a fact that is said before the end.
            state.close_refused = True
            self._run.journal.drop()
            return Step.CLOSE
        if refusal.reason in OVER and state.ending is None:
            return asides.canceled(self._run)
        if state.step == Step.ANALYZE and state.ending is None:
            return triaging.unanswered(self._run, f"The analysis was refused: {refusal.message}")
        state.ask = state.wind_down = None
        state.ending = state.ending or Ending(RunStatus.FAILED, "failed")
        return Step.CLOSE
