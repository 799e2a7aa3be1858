"""Where the demo stands when it cannot go on: which work failed, why, and which gate waits for whom."""

from __future__ import annotations

import click

from ameide.cli.gate_view import verb_for
from ameide.cli.output import heading
from ameide.cli.session import Session
from ameide.cli.stuck import Verbs
from ameide.errors import AmeideError
from ameide_core_proto.transformation.governance.v1.governance_pb import GateStatus
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetChangeRequest, GetChangeResponse
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode, WorkRequest, WorkResult, WorkStatus


def tell_where(session: Session, change_id: str) -> None:
    """Print it, as far as the views know it."""
    request = GetChangeRequest(scope=session.scope, change_id=change_id)
    try:
        found = session.call(lambda clients: clients.queries.get_change(request))
    except AmeideError:
        # What stopped the demo has been said; that nobody answers adds nothing.
        return
    _tell_failure(found)
    for gate in found.gates:
        if gate.status == GateStatus.OPEN:
            heading(f"The run waits at {gate.kind.name}")
            verbs = Verbs(session, local=False)
            click.echo(f"Look at it      {verbs.ameide('gate', 'show', gate.gate_id)}")
            click.echo(f"Put it right, then let it go on: {verb_for(gate, verbs.ameide)}")


def _tell_failure(found: GetChangeResponse) -> None:
    failed = [work for work in found.works if work.status == WorkStatus.FAILED and work.result]
    if not failed:
        return
    last = max(failed, key=_ended)
    result = last.result or WorkResult()
    heading(f"WorkFailed({FailureCode(result.failure_code).name})")
    click.echo(result.summary)
    click.echo(f"Its log         ameide work logs {last.work_request_id}")


def _ended(work: WorkRequest) -> float:
    return work.ended_at.to_datetime().timestamp() if work.ended_at else 0.0
