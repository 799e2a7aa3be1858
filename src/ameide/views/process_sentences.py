"""What the Process says about its own course, in one sentence, and what it means for the run's phase."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from protobuf import Message

from ameide_core_proto.process.transformation.v1 import facts_pb as process
from ameide_core_proto.process.transformation.v1.facts_pb import ActivityTransition, Phase


@dataclass(frozen=True, slots=True)
class Course:
    """Where a run stands. None leaves what was known: a step does not end a phase, a read does not end a wait."""

    phase: str | None
    awaiting: str | None


def course_of(fact: Message[Any]) -> Course:
    """What a process fact tells about where the run stands. Phases are lower-case; awaiting is `what ref` or empty."""
    match fact:
        case process.PhaseEntered():
            return Course(fact.phase.name.lower(), "")
        case process.Awaiting():
            return Course(None, f"{fact.what} {fact.ref}".strip())
        case process.ProcessInstanceCompleted() | process.ProcessInstanceFailed() | process.ProcessInstanceCanceled():
            return Course(Phase.TERMINAL.name.lower(), "")
        case process.ReadPerformed():
            return Course(None, None)
        case _:
            return Course(None, "")


def process_sentence(fact: Message[Any]) -> str:
    """The sentence of a process fact; empty for anything else."""
    match fact:
        case process.ProcessInstanceStarted():
            return f"run started as {fact.workflow_type}"
        case process.ProcessInstanceCompleted():
            return f"run completed: {fact.outcome}"
        case process.ProcessInstanceFailed():
            return f"run failed: {fact.outcome}"
        case process.ProcessInstanceCanceled():
            return f"run canceled: {fact.outcome}"
        case process.PhaseEntered():
            return f"phase {fact.phase.name.lower()}"
        case process.ActivityTransitioned():
            return _activity(fact)
        case process.Awaiting():
            return f"waits for {fact.what} {fact.ref}"
        case process.GateDecisionRecorded():
            return f"took note of the decision of gate {fact.gate_id}"
        case process.ReadPerformed():
            return f"read {fact.query} at log position {fact.log_position}"
        case _:
            return ""


def _activity(fact: process.ActivityTransitioned) -> str:
    verb = ActivityTransition(fact.transition).name.lower()
    iteration = f" (iteration {fact.iteration})" if fact.iteration > 1 else ""
    return f"step {fact.activity}{iteration} {verb}{': ' + fact.reason if fact.reason else ''}"
