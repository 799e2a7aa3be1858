"""What this machine sees by itself: processes and engines that were started here and do not run, a worker that rests.

It holds when the Domain does not answer as well, which is when it is needed most.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from protobuf.wkt import Timestamp

from ameide import config
from ameide.cli.engines import engine_of
from ameide.cli.output import clock, say
from ameide.cli.processes import EXECUTOR, Managed, wanted
from ameide.cli.session import Session
from ameide.cli.stuck import Line, Verbs
from ameide.errors import AmeideError
from ameide.infra.pausing import Pauses

_MISSED = {
    "postgres": "nothing is stored, nothing is answered",
    "temporal": "no run goes on",
    "control": "nobody answers, nothing is moved",
    "worker": "no run takes its next step",
    "executor": "no work is done",
    "architect": "nobody answers `ameide chat`",
}
# A poll waits for a minute; the server tells when it began.
_POLL = timedelta(seconds=75)


def verbs_of(session: Session) -> Verbs:
    """How this person starts what does not run."""
    local = not session.settings.address and session.state.settings_of("control").exists()
    state = session.state
    all_run = local and all(Managed(name, state).ready() for name in wanted(state))
    paused = Pauses.of(session.settings.state_dir).queues() if local else frozenset[str]()
    return Verbs(session, local, all_run, local and state.left_out(EXECUTOR).exists(), paused)


def stopped_here(session: Session, verbs: Verbs) -> list[Line]:
    """The processes and engines of this state folder that `ameide up` started and that do not run now."""
    if not verbs.local:
        return []
    settings, lines = session.settings, list[Line]()
    theirs = {"postgres": settings.database_url_app, "temporal": settings.temporal_address}
    for engine in engine_of(settings, say).status():
        if engine.pid is None and not theirs[engine.name]:
            lines.append(_stopped(verbs, engine.name, "engine", _last_word(engine.log)))
    for name in wanted(session.state):
        managed = Managed(name, session.state)
        if managed.process() is None:
            how = "ended without `ameide down`; " if managed.left_behind() else ""
            lines.append(_stopped(verbs, name, "process", how + _last_word(managed.log)))
    return lines


def resting_worker(session: Session, verbs: Verbs) -> list[Line]:
    """Whether a process worker polls, as the Temporal server knows it, where its address is known here."""
    settings = session.settings
    if verbs.local and not settings.temporal_address:
        settings = config.read(file=session.state.settings_of("worker"))
    if not settings.temporal_address:
        return []
    # Temporal's client is slow to import, and only this verb needs it.
    from ameide.process.temporal import last_poll

    try:
        polled = asyncio.run(last_poll(settings.temporal_address, settings.temporal_namespace))
    except AmeideError as error:
        return [Line("temporal", settings.temporal_address, f"{error.message}: no run goes on", verbs.start("doctor"))]
    if polled is not None and datetime.now(UTC) - polled < _POLL:
        return []
    seen = f"last polled {clock(Timestamp.from_datetime(polled))}" if polled else "it was not polled lately"
    what = f"no process worker serves the runs at {settings.temporal_address}: {seen}"
    return [Line("worker", settings.temporal_address, what, verbs.start("serve worker"))]


def _stopped(verbs: Verbs, name: str, sort: str, since: str) -> Line:
    return Line(sort, name, f"the {sort} {name} does not run ({since}): {_MISSED[name]}", verbs.start(f"serve {name}"))


def _last_word(log: Path) -> str:
    try:
        at = datetime.fromtimestamp(log.stat().st_mtime, UTC)
    except OSError:
        return "it left no log"
    return f"its log {log} ends {clock(Timestamp.from_datetime(at))}"
