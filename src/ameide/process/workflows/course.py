"""What every run does: take in facts, and go on from step to step until it ends or its history is full."""

from __future__ import annotations

from abc import abstractmethod

from temporalio import workflow

from ameide.process.steps import DOMAIN_FACT
from ameide.process.workflows.context import HistoryFull, RunContext
from ameide.process.workflows.inbox import DomainFact
from ameide.process.workflows.state import Step
from ameide_core_proto.transformation.governance.v1.governance_pb import RunInput


class CourseRun:
    """A run of some kind. Which steps it has, and what interrupts them, is the kind's."""

    _run: RunContext

    @workflow.signal(name=DOMAIN_FACT)
    def domain_fact(self, fact: DomainFact) -> None:
        """A fact of this run, by ingress: any aggregator message of a domain fact topic."""
        self._run.arrive(fact)

    @abstractmethod
    async def _advance(self) -> None:
        """One step, and whatever interrupts it."""

    async def _take(self, run: RunInput) -> str:
        """Take the course up where the state stands; the outcome. Raises Continue-As-New with all that is carried."""
        state = self._run.state
        while state.step != Step.CLOSED:
            try:
                await self._advance()
            except HistoryFull:
                await workflow.wait_condition(workflow.all_handlers_finished)
                self._run.absorb()
                workflow.continue_as_new(args=[run, state])
        return state.ending.outcome if state.ending else ""
