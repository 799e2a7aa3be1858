"""`ameide status`: what runs, what waits, and the command that moves it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click
import psutil

from ameide.cli.engines import engine_of
from ameide.cli.failure import DONE, UNREACHABLE
from ameide.cli.gate_view import verb_for
from ameide.cli.output import facts, heading, say, table, word
from ameide.cli.processes import NAMES, Managed
from ameide.cli.session import Session, pass_session
from ameide.errors import AmeideError
from ameide_core_proto.transformation.governance.v1.governance_pb import Gate, GateStatus
from ameide_core_proto.transformation.governance.v1.query_service_pb import (
    GetStatusRequest,
    GetStatusResponse,
    ListGatesRequest,
    ListGatesResponse,
)

Row = tuple[str, str, str, str, str]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@pass_session
def status(session: Session, as_json: bool) -> None:
    """Processes, engines, log, queues, and the gates that wait. Exit code 3 when the Domain does not answer."""
    rows = _rows(session)
    error: AmeideError | None = None
    answers: tuple[GetStatusResponse, ListGatesResponse] | None = None
    try:
        answers = asyncio.run(_ask(session))
    except AmeideError as caught:
        error = caught
    if as_json:
        click.echo(json.dumps(_as_json(rows, answers, error), indent=2, ensure_ascii=False))
    else:
        table(("PROCESS", "STATE", "PID", "SINCE", "WHERE"), rows)
        if answers is not None:
            _print(*answers)
        elif error is not None:
            click.echo()
            say(str(error))
    raise click.exceptions.Exit(UNREACHABLE if error is not None else DONE)


async def _ask(session: Session) -> tuple[GetStatusResponse, ListGatesResponse]:
    async with session.connect(timeout=5) as clients:
        found = await clients.queries.get_status(GetStatusRequest(scope=session.scope))
        gates = await clients.queries.list_gates(ListGatesRequest(scope=session.scope, statuses=[GateStatus.OPEN]))
    return found, gates


def _rows(session: Session) -> list[Row]:
    rows: list[Row] = []
    if session.state.root.exists():
        for engine in engine_of(session.settings, say).status():
            pid = engine.pid
            rows.append(
                (
                    engine.name,
                    "running" if pid else "stopped",
                    str(pid or ""),
                    _since(pid),
                    engine.address or str(engine.log),
                )
            )
    for name in NAMES:
        managed = Managed(name, session.state)
        process = managed.process()
        stopped = "gone (stale pid file)" if managed.left_behind() else "stopped"
        state = "ready" if managed.ready() else "starting" if process else stopped
        where = session.state.address() if name == "control" else str(managed.log)
        rows.append((name, state, str(process.pid) if process else "", _since(process.pid if process else None), where))
    return rows


def _since(pid: int | None) -> str:
    try:
        return (
            datetime.fromtimestamp(psutil.Process(pid).create_time()).astimezone().strftime("%H:%M:%S") if pid else ""
        )
    except psutil.NoSuchProcess:
        return ""


def _print(found: GetStatusResponse, gates: ListGatesResponse) -> None:
    heading("Log")
    lag = ", ".join(f"{c.consumer} {c.position} ({c.lag} behind)" for c in found.consumers)
    facts(
        [
            ("position", str(found.log_position)),
            ("outbox", f"{found.outbox_pending} waiting, oldest {found.outbox_oldest_age_seconds:.1f} s"),
            ("consumers", lag),
            ("parked", f"{found.parked_messages}: ameide events parked" if found.parked_messages else "none"),
            ("open runs", str(found.open_runs)),
        ]
    )
    if found.queues:
        heading("Queues")
        table(
            ("QUEUE", "READY", "OLDEST"),
            [(queue.queue, str(queue.ready), f"{queue.oldest_age_seconds:.0f} s") for queue in found.queues],
        )
    heading("Gates that wait for a decision")
    _gates(gates.gates)


def _gates(gates: Sequence[Gate]) -> None:
    if not gates:
        click.echo("None.")
    for gate in gates:
        click.echo(f"{word(gate.kind.name)} of {gate.change_id}; see: ameide gate show {gate.gate_id}")
        click.echo(f"  {verb_for(gate)}")


def _as_json(
    rows: Sequence[Row], answers: tuple[GetStatusResponse, ListGatesResponse] | None, error: AmeideError | None
) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "processes": [
            {"name": name, "state": state, "pid": int(pid) if pid else None, "since": since, "where": where}
            for name, state, pid, since, where in rows
        ],
        "status": None,
        "gates": None,
        "error": None,
    }
    if answers is not None:
        shown["status"] = json.loads(answers[0].to_json(always_emit_implicit=True))
        shown["gates"] = json.loads(answers[1].to_json(always_emit_implicit=True))
    if error is not None:
        shown["error"] = {"code": error.code, "message": error.message, "field": error.field, "remedy": error.remedy}
    return shown
