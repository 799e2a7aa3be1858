"""`ameide status`: what runs, what waits, and the command that moves it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click
import psutil

from ameide.cli.engines import engine_of
from ameide.cli.failure import DONE, FAILED, exit_code_of
from ameide.cli.output import facts, heading, say, table
from ameide.cli.processes import ARCHITECT, NAMES, Managed, wanted
from ameide.cli.session import Session, pass_session
from ameide.cli.stuck import Line, lines_of, paused_lines, print_lines
from ameide.cli.stuck_here import resting_worker, stopped_here, verbs_of
from ameide.errors import AmeideError
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetStatusRequest, GetStatusResponse

_PATIENCE = 5.0
Row = tuple[str, str, str, str, str]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@pass_session
def status(session: Session, as_json: bool) -> None:
    """Processes, engines, log, queues; then what is stuck, since when and why, with the command that moves it.

    Exit code 0 when all moves or waits for people only, 1 when something does not run, is behind or is set aside, 3
    when the Domain does not answer.
    """
    rows, verbs = _rows(session), verbs_of(session)
    error: AmeideError | None = None
    found: GetStatusResponse | None = None
    lines = stopped_here(session, verbs)
    try:
        found = session.call(
            lambda clients: clients.queries.get_status(GetStatusRequest(scope=session.scope)), timeout=_PATIENCE
        )
        # Whoever answers does what the process of `ameide up` would do, or is named for what it does not.
        lines = [line for line in lines if line.subject != "control"] + lines_of(found, verbs)
    except AmeideError as caught:
        error = caught
    if not any(line.subject in ("temporal", "worker") for line in lines):
        lines += resting_worker(session, verbs)
    lines += paused_lines(found, verbs)
    if as_json:
        click.echo(json.dumps(_as_json(rows, found, lines, error), indent=2, ensure_ascii=False))
    else:
        table(("PROCESS", "STATE", "PID", "SINCE", "WHERE"), rows)
        if found is not None:
            _print(found)
        if found is not None or lines:
            print_lines(lines, found.open_gates if found is not None else 0)
        if error is not None:
            click.echo()
            say(str(error))
    raise click.exceptions.Exit(_exit_code(lines, error))


def _exit_code(lines: Sequence[Line], error: AmeideError | None) -> int:
    if error is not None:
        return exit_code_of(error)
    return DONE if all(line.for_people for line in lines) else FAILED


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
        left_out = name not in wanted(session.state)
        stopped = "gone (stale pid file)" if managed.left_behind() else "left out" if left_out else "stopped"
        state = "ready" if managed.ready() else "starting" if process else stopped
        where = {"control": session.state.address(), ARCHITECT: session.state.architect_address()}.get(name, "")
        where = where or str(managed.log)
        rows.append((name, state, str(process.pid) if process else "", _since(process.pid if process else None), where))
    return rows


def _since(pid: int | None) -> str:
    try:
        return (
            datetime.fromtimestamp(psutil.Process(pid).create_time()).astimezone().strftime("%H:%M:%S") if pid else ""
        )
    except psutil.NoSuchProcess:
        return ""


def _print(found: GetStatusResponse) -> None:
    heading("Log")
    lag = ", ".join(f"{c.consumer} {c.position} ({c.lag} behind)" for c in found.consumers)
    facts(
        [
            ("position", str(found.log_position)),
            ("outbox", f"{found.outbox_pending} waiting, oldest {found.outbox_oldest_age_seconds:.1f} s"),
            ("consumers", lag),
            ("parked", f"{found.parked_messages}: ameide events parked" if found.parked_messages else "none"),
            (
                "open runs",
                f"{found.open_runs}, {found.queued_runs} in line" if found.queued_runs else str(found.open_runs),
            ),
        ]
    )
    if found.queues:
        heading("Queues")
        table(
            ("QUEUE", "READY", "OLDEST"),
            [(queue.queue, str(queue.ready), f"{queue.oldest_age_seconds:.0f} s") for queue in found.queues],
        )


def _as_json(
    rows: Sequence[Row], found: GetStatusResponse | None, lines: Sequence[Line], error: AmeideError | None
) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "processes": [
            {"name": name, "state": state, "pid": int(pid) if pid else None, "since": since, "where": where}
            for name, state, pid, since, where in rows
        ],
        "status": json.loads(found.to_json(always_emit_implicit=True)) if found is not None else None,
        "stuck": [line.as_json() for line in lines],
        "error": None,
    }
    if error is not None:
        shown["error"] = {"code": error.code, "message": error.message, "field": error.field, "remedy": error.remedy}
    return shown
