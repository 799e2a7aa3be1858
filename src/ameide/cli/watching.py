"""Waiting for a run: for its next gate, for its end. The views are asked again until they say so."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ameide.cli.output import say, word
from ameide.cli.session import Session, every_page
from ameide.cli.timeline import print_rows
from ameide.cli.work_progress import WorkProgress
from ameide.errors import AmeideError, NotFound, Refused, Unreachable
from ameide.rpc.clients import Clients
from ameide_core_proto.transformation.governance.v1.governance_pb import Gate, GateStatus, Run, RunStatus, TenantBudget
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.governance.v1.query_service_pb import (
    ChangeSummary,
    GetChangeRequest,
    GetGateRequest,
    GetTenantBudgetRequest,
    GetTimelineRequest,
    ListGatesRequest,
    ListGatesResponse,
)

T = TypeVar("T")
UNDER_WAY = (RunStatus.OPEN, RunStatus.QUEUED)
"""A run that has one of these has not ended."""
_INTERVAL = 0.25
_QUIET_FOR = 2.0
_PATIENCE = 60.0


async def until(
    look: Callable[[], Awaitable[T | None]],
    waiting_for: str,
    *,
    timeout: float = 0,
    meanwhile: Callable[[], Awaitable[None]] | None = None,
) -> T:
    """Ask again until `look` gives something. `timeout` in seconds, 0 for none; says what it waits for after two.

    `meanwhile` is awaited between two looks, to tell how things go.

    A control plane that restarts meanwhile is waited for, one minute long; what was just asked for may not be in the
    views yet, so not_found is waited for likewise, for five seconds.
    """
    clock = asyncio.get_running_loop().time
    begun, said = clock(), False
    failing_since: float | None = None
    while True:
        try:
            found = await look()
            if meanwhile is not None:
                await meanwhile()
            failing_since = None
        except (Unreachable, NotFound) as error:
            failing_since = failing_since or clock()
            if clock() - failing_since > (_PATIENCE if isinstance(error, Unreachable) else 5.0):
                raise
            found = None
        if found is not None:
            return found
        if not said and clock() - begun > _QUIET_FOR:
            say(f"Waiting for {waiting_for}.")
            said = True
        if timeout and clock() - begun > timeout:
            raise Unreachable(
                f"{waiting_for} did not come within {timeout:g} s",
                remedy="`ameide status` shows what runs; wait longer with --timeout",
            )
        await asyncio.sleep(_INTERVAL)


async def newest(session: Session, clients: Clients, change_id: str) -> ChangeSummary:
    """The change as it is now."""
    answer = await clients.queries.get_change(GetChangeRequest(scope=session.scope, change_id=change_id))
    if answer.summary is None:
        raise NotFound(f"no change {change_id}")
    return answer.summary


async def until_closed(session: Session, clients: Clients, change_id: str, *, timeout: float = 0) -> Run:
    """The newest run of a change, once it has ended."""

    async def look() -> Run | None:
        run = (await newest(session, clients, change_id)).newest_run
        return run if run is not None and run.status not in UNDER_WAY else None

    progress = WorkProgress(session, clients, change_id)
    return await until(look, f"the end of the run of {change_id}", timeout=timeout, meanwhile=progress.tell)


async def until_gate(
    session: Session, clients: Clients, change_id: str, kind: GateKind | None, *, timeout: float = 0
) -> ListGatesResponse:
    """The open gates (of the kind) once there is one.

    Raises Refused when the run of the change stops at another gate or ends first, since that gate will not come then.
    """

    async def look() -> ListGatesResponse | None:
        request = ListGatesRequest(scope=session.scope, change_id=change_id, statuses=[GateStatus.OPEN])
        answer = await clients.queries.list_gates(request)
        wanted = [gate for gate in answer.gates if kind is None or gate.kind == kind]
        if wanted:
            answer.gates[:] = wanted
            return answer
        if change_id:
            await _check_course(session, clients, change_id, answer.gates, kind)
        return None

    what = f"a gate of kind {word(kind.name)}" if kind is not None else "a gate"
    progress = WorkProgress(session, clients, change_id) if change_id else None
    return await until(look, what, timeout=timeout, meanwhile=progress.tell if progress else None)


async def gate_or_end(session: Session, clients: Clients, change_id: str) -> Gate | None:
    """The next open gate of the run, or None once the run has ended."""

    async def look() -> list[Gate] | None:
        request = ListGatesRequest(scope=session.scope, change_id=change_id, statuses=[GateStatus.OPEN])
        gates = (await clients.queries.list_gates(request)).gates
        if gates:
            return gates[:1]
        run = (await newest(session, clients, change_id)).newest_run
        return [] if run is not None and run.status not in UNDER_WAY else None

    progress = WorkProgress(session, clients, change_id)
    found = await until(look, "the next gate", meanwhile=progress.tell)
    return found[0] if found else None


async def _check_course(
    session: Session, clients: Clients, change_id: str, others: list[Gate], kind: GateKind | None
) -> None:
    if others:
        stop = others[0]
        why = stop.subject.reason if stop.subject else ""
        raise Refused(
            f"the run waits at {word(stop.kind.name)} instead of {word(kind.name) if kind else 'a gate'}: {why}".rstrip(
                ": "
            ),
            remedy=f"Look at it with `ameide gate show {stop.gate_id}`",
        )
    run = (await newest(session, clients, change_id)).newest_run
    if run is not None and run.status not in UNDER_WAY:
        raise Refused(
            f"the run has ended ({run.outcome}); no further gate will open",
            remedy=f"Look at it with `ameide change show {change_id}`",
        )


async def seen(session: Session, clients: Clients, recorded: Gate | Run | TenantBudget) -> None:
    """Wait until the views show what a command has just recorded, so that the next command reads it; at most 5 s."""

    async def look() -> bool | None:
        if isinstance(recorded, Gate):
            request = GetGateRequest(scope=session.scope, gate_id=recorded.gate_id)
            gate = (await clients.queries.get_gate(request)).gate
            return True if gate is not None and gate.version >= recorded.version else None
        if isinstance(recorded, TenantBudget):
            budget = await clients.queries.get_tenant_budget(GetTenantBudgetRequest(scope=session.scope))
            known = budget.tenant_budget
            return True if known is not None and known.version >= recorded.version else None
        run = (await newest(session, clients, recorded.change_id)).newest_run
        return True if run is not None and run.number >= recorded.number else None

    with contextlib.suppress(AmeideError):
        # The command is done whatever the views say; a projector that is behind is `ameide status`'s matter.
        await until(look, "the views", timeout=5)


async def follow_run(session: Session, clients: Clients, change_id: str, *, as_json: bool) -> int:
    """Print the timeline as it grows until the run ends; exit code 0 when it completed, 1 otherwise."""
    seen: set[str] = set()
    while True:
        try:
            run = (await newest(session, clients, change_id)).newest_run
            over = run is not None and run.status not in UNDER_WAY
            rows = (
                await every_page(
                    lambda page: clients.queries.get_timeline(
                        GetTimelineRequest(scope=session.scope, change_id=change_id, page=page)
                    ),
                    "rows",
                )
            ).rows
        except AmeideError as error:
            if not (error.retry or isinstance(error, NotFound)):
                raise
            rows, over, run = [], False, None
        fresh = [row for row in rows if f"{row.citation.ref if row.citation else ''}/{row.name}/{row.text}" not in seen]
        seen.update(f"{row.citation.ref if row.citation else ''}/{row.name}/{row.text}" for row in fresh)
        print_rows(fresh, as_json_lines=as_json)
        if over and run is not None:
            if not as_json:
                say(f"The run has ended: {run.outcome}.")
            return 0 if run.status == RunStatus.COMPLETED else 1
        await asyncio.sleep(_INTERVAL * 2)
