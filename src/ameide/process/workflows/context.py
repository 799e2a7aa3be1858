"""What every step of the course stands on: its state, its commands, its waiting, and what may interrupt it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from protobuf import Message
from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeKey
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.exceptions import TimeoutError as NoAnswer

from ameide.process.steps import PERFORM_READ, RECORD_PROCESS_FACTS, Command, Read, Reading
from ameide.process.workflows.inbox import DomainFact
from ameide.process.workflows.journal import Journal
from ameide.process.workflows.state import Ask, RunState
from ameide_core_proto.common.v1.metadata_pb import MessageMetadata, Scope
from ameide_core_proto.process.transformation.v1.facts_pb import Phase
from ameide_core_proto.process.transformation.v1.process_fact_service_pb import RecordProcessFactsResponse
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    ChangeStatus,
    GateStatus,
    Repository,
    Run,
    RunInput,
    RunStatus,
)
from ameide_core_proto.transformation.governance.v1.policy_pb import Bounds, GateKind, Policy

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)

_TENANT = SearchAttributeKey.for_keyword("AmeideTenant")
_CHANGE = SearchAttributeKey.for_keyword("AmeideChange")
_REPOSITORY = SearchAttributeKey.for_keyword("AmeideRepository")
_PHASE = SearchAttributeKey.for_keyword("AmeidePhase")

_START_TO_CLOSE = timedelta(seconds=5)
# Unlimited: what must not be tried again says so by its error's type.
_RETRY = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=30))


class Refusal(Exception):
    """The Domain answered no, and would again. `reason` is the rule's code, or the kind of error when there is none."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class CancelAsked(Exception):
    """The change or the run was canceled."""


class RunEnded(Exception):
    """The Domain closed the run without its process."""

    def __init__(self, run: Run) -> None:
        super().__init__(run.outcome)
        self.run = run


class GateReturned(Exception):
    """A gate that was passed, or that the run waits at, was voided: the course goes back to it."""

    def __init__(self, kind: GateKind) -> None:
        super().__init__(kind.name)
        self.kind = kind


class HistoryFull(Exception):
    """Time for Continue-As-New."""


class RunContext:
    """One run at work. Lives for one history; everything that must outlive it is in `state`."""

    def __init__(self, run: RunInput, state: RunState) -> None:
        self.run = run
        self.state = state
        self.journal = Journal(run, state.pages)
        self._arrived: list[DomainFact] = []
        self._signals = 0

    @property
    def policy(self) -> Policy:
        """The policy as it was when the run was requested: it fixes the course."""
        return self.run.policy or Policy()

    @property
    def bounds(self) -> Bounds:
        """The policy's bounds."""
        return self.policy.bounds or Bounds()

    @property
    def repository(self) -> Repository:
        """The repository as it was registered when the run was requested."""
        return self.run.repository or Repository()

    @property
    def scope(self) -> Scope:
        """Whose run this is."""
        return self.run.scope or Scope()

    def arrive(self, fact: DomainFact) -> None:
        """For the signal handler: append, nothing else."""
        self._arrived.append(fact)
        self._signals += 1

    def absorb(self) -> None:
        """Take what has arrived into the inbox."""
        for fact in self._arrived:
            if self.state.inbox.take(fact):
                self.journal.causation_id = (fact.metadata or MessageMetadata()).message_id
        self._arrived.clear()

    def key(self, activity: str, iteration: int) -> str:
        """The idempotency key of a command."""
        return f"{self.run.process_instance_id}/{activity}/{iteration}"

    def next_iteration(self, activity: str) -> int:
        """Counts how often an activity is asked for, from 1."""
        count = self.state.counts.get(activity, 0) + 1
        self.state.counts[activity] = count
        return count

    def ask_for(self, activity: str, *, is_gate: bool = False) -> Ask:
        """What the current step waits on: taken up again after Continue-As-New, else a new one."""
        ask = self.state.ask
        if ask is None:
            ask = Ask(activity, self.next_iteration(activity), is_gate=is_gate)
            self.state.ask = ask
        return ask

    async def command(self, step: Command[Request, Response], request: Request) -> Response:
        """Send a command, the pending process facts first. Raises Refusal when it must not be repeated."""
        batch = self.journal.batch()
        answer = await self._execute(step.name, request, batch, step.response)
        self.journal.sent(batch)
        return answer

    async def read(self, read: Read) -> Reading:
        """Perform a declared read within its seconds, all tries together. Raises Refusal, also without an answer."""
        seconds = timedelta(seconds=read.seconds)
        try:
            return await workflow.execute_activity(
                PERFORM_READ,
                read,
                result_type=Reading,
                start_to_close_timeout=seconds,
                schedule_to_close_timeout=seconds,
                retry_policy=_RETRY,
            )
        except ActivityError as error:
            if isinstance(error.cause, ApplicationError):
                raise Refusal(error.cause.type or "", error.cause.message) from error
            if isinstance(error.cause, NoAnswer):
                raise Refusal("Unreachable", f"no answer within {read.seconds} s") from error
            raise

    async def flush(self) -> None:
        """Send the pending process facts by themselves, so that people see what a waiting run waits for."""
        batch = self.journal.batch()
        if batch is not None:
            await self._execute(RECORD_PROCESS_FACTS.name, batch, None, RecordProcessFactsResponse)
            self.journal.sent(batch)

    async def _execute(self, name: str, request: Message, batch: Message | None, response: type[Response]) -> Response:
        try:
            return await workflow.execute_activity(
                name,
                args=[request, batch],
                result_type=response,
                start_to_close_timeout=_START_TO_CLOSE,
                retry_policy=_RETRY,
            )
        except ActivityError as error:
            if isinstance(error.cause, ApplicationError):
                cause = error.cause
                raise Refusal(cause.type or "", cause.message) from error
            raise

    async def until(self, reached: Callable[[], bool], deadline: float | None = None) -> bool:
        """Wait for facts until the condition holds. False when the deadline (workflow time, seconds) passed before.

        The condition reads the inbox. Raises whatever interrupts the course.
        """
        await self.flush()
        while True:
            self.absorb()
            if reached():
                return True
            self.interrupt()
            left = None if deadline is None else deadline - self.now()
            if left is not None and left <= 0:
                return False
            try:
                await workflow.wait_condition(self._has_arrived, timeout=left)
            except TimeoutError:
                continue

    def _has_arrived(self) -> bool:
        return bool(self._arrived)

    def now(self) -> float:
        """Workflow time in seconds since the epoch."""
        return workflow.now().timestamp()

    def interrupt(self) -> None:
        """Raises what takes the course elsewhere: run closed, cancel, a voided gate, a history that is full."""
        from_outside = self.state.ending is None and self.state.wind_down is None
        if from_outside:
            run = self.state.inbox.about("run", self.run.process_instance_id)
            change = self.state.inbox.about("change", self.run.change_id)
            if run and run.run and run.run.status not in (RunStatus.OPEN, RunStatus.UNSPECIFIED):
                raise RunEnded(run.run)
            if (run and run.run and run.run.cancel_requested) or (
                change and change.change and change.change.status == ChangeStatus.CANCELED
            ):
                raise CancelAsked
            for kind in GateKind:
                taken = self.state.passes.get(kind.name)
                known = self.state.inbox.about("gate", taken.gate_id) if taken else None
                if known and known.gate and known.gate.status == GateStatus.VOIDED:
                    raise GateReturned(kind)
        if workflow.info().is_continue_as_new_suggested() or self._signals >= self.bounds.max_history_signals:
            raise HistoryFull

    def note_awaiting(self, what: str, ref: str) -> None:
        """Say once what the run waits for."""
        if self.state.awaiting != f"{what} {ref}":
            self.state.awaiting = f"{what} {ref}"
            self.journal.awaiting(what, ref)

    def enter(self, phase: Phase | None) -> None:
        """The step belongs to this phase; None leaves it as it is."""
        if phase is None or phase == self.state.phase:
            return
        self.state.phase = phase
        self.journal.phase(phase)
        found_by = [_PHASE.value_set(phase.name.lower())]
        if phase == Phase.INTAKE:
            found_by += [
                _TENANT.value_set(self.scope.tenant_id),
                _CHANGE.value_set(self.run.change_id),
                _REPOSITORY.value_set(self.repository.repository_id),
            ]
        # The SDK leaves its own element type open here.
        workflow.upsert_search_attributes(found_by)  # pyright: ignore[reportUnknownMemberType]
