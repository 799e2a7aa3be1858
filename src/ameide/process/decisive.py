"""What of a fact a workflow needs: references and decisive fields. The rest would only fill its history."""

from __future__ import annotations

from copy import deepcopy

from ameide.process.workflows.inbox import DomainFact
from ameide_core_proto.transformation.governance.v1.facts_pb import RunCancelRequested, RunClosed, RunRequested
from ameide_core_proto.transformation.work.v1.facts_pb import (
    WorkCanceled,
    WorkCompleted,
    WorkFailed,
    WorkRequested,
    WorkStarted,
)


def decisive(fact: DomainFact) -> DomainFact:
    """The fact without evidence, which its result refers to, without work inputs and run input, which the run knows."""
    lean = deepcopy(fact)
    body = lean.fact.value if lean.fact is not None else None
    if isinstance(body, WorkCompleted | WorkFailed | WorkCanceled):
        body.evidence = None
    if isinstance(body, WorkRequested | WorkStarted | WorkCompleted | WorkFailed | WorkCanceled) and body.work:
        body.work.inputs = None
        body.work.path_rules = None
    if isinstance(body, RunRequested | RunCancelRequested | RunClosed) and body.run:
        body.run.input = None
    return lean
