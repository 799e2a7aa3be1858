"""`ameide up` and `ameide down`: this machine's control plane, started and stopped as a whole."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import click

from ameide import config
from ameide.cli.engines import engine_of
from ameide.cli.forking import Nursery
from ameide.cli.output import at_a_terminal, say
from ameide.cli.processes import BASE_VARIABLES, NAMES, Managed, wait_until_ready
from ameide.cli.session import Session, pass_session
from ameide.cli.starting import (
    settings_files,
    with_engines,
    with_port,
    with_schema_and_principals,
    write_settings,
)
from ameide.cli.state import StateFolder
from ameide.config import Settings
from ameide.engine.files import sole_holder
from ameide.engine.ports import is_free
from ameide.errors import Refused, Unreachable

_LOCKS = ("engine.lock", "up.lock")
# What the program makes in a state folder; a purge touches nothing else that may lie there.
_OURS = (
    "tokens",
    "run",
    "logs",
    "objects",
    "registry",
    "remotes",
    "work",
    "patches",
    "engine",
    "secrets.json",
    *_LOCKS,
)


@click.command()
@pass_session
def up(session: Session) -> None:
    """Start the control plane on this machine: engines, control, worker, executor. Open runs go on."""
    begun = time.monotonic()
    state = session.state
    if state.restoring.exists():
        raise Refused(
            f"a restore into {state.root} was interrupted",
            remedy="Delete what it left with `ameide down --purge`, then restore again",
        )
    # A child that knows the path could otherwise read what other works are about.
    state.prepare(session.settings.forge_root, session.settings.registry_root)
    with sole_holder(state.root / "up.lock", lambda: say("Another ameide command starts or stops this; waiting.")):
        address, started = bring_up(session.settings, state)
    if not started:
        click.echo(f"Already running at {address}. Nothing to do.")
    else:
        click.echo(f"Ready at {address} after {time.monotonic() - begun:.1f} s: {', '.join(started)} started.")
        click.echo("Next: ameide status, or ameide repo add NAME URL")


def bring_up(settings: Settings, state: StateFolder) -> tuple[str, list[str]]:
    """Start what does not run, or runs with other settings; gives the address and the names of what was started."""
    managed = {name: Managed(name, state) for name in NAMES}
    for one in managed.values():
        if one.left_behind():
            say(f"The {one.name} process ended without `ameide down`; its pid file is stale. Starting it anew.")
    with Nursery(state.root, state.logs / "nursery.log", config.passed_through(BASE_VARIABLES)) as nursery:
        if any(one.process() is None for one in managed.values()):
            nursery.begin()
        control_ran = managed["control"].process() is not None
        settings = with_engines(settings, nursery, say, (lambda _: None) if control_ran else _prepare)
        for last in (False, False, True):
            control_runs = managed["control"].process() is not None
            placed = with_port(settings, _former_port(state), control_runs, say)
            try:
                return _start_what_does_not_run(placed, managed, nursery, prepared=not control_ran)
            except Unreachable:
                # Another program can be quicker between the choice of a port and its use.
                if last or managed["control"].process() is not None or is_free(placed.listen_port):
                    raise
                say(f"Another program took port {placed.listen_port} meanwhile.")
    raise AssertionError("unreachable: the last try returns or raises")


def _prepare(settings: Settings) -> None:
    with_schema_and_principals(settings, say)


def _start_what_does_not_run(
    settings: Settings, managed: dict[str, Managed], nursery: Nursery, *, prepared: bool
) -> tuple[str, list[str]]:
    state, files = StateFolder(settings.state_dir), settings_files(settings)
    wanting = [name for name in NAMES if not managed[name].runs_with(files[name])]
    if not wanting:
        return settings.address, []
    if "control" in wanting and not prepared:
        _prepare(settings)
    for name in wanting:
        if managed[name].stop(settings.drain_seconds):
            say(f"The settings of {name} changed; restarting it.")
        write_settings(state.settings_of(name), files[name])
    # Worker and executor talk to the control process, so it comes first; the two start together.
    for group in ([n for n in wanting if n == "control"], [n for n in wanting if n != "control"]):
        for name in group:
            say(f"Starting {name}.")
            managed[name].start(nursery)
        wait_until_ready([managed[name] for name in group], say)
    state.remember_address(settings.address)
    return settings.address, wanting


@click.command()
@click.option("--purge", is_flag=True, help="Delete all data of this installation as well.")
@click.option("--yes", is_flag=True, help="Do not ask before a purge.")
@pass_session
def down(session: Session, purge: bool, yes: bool) -> None:
    """Stop what `ameide up` started, and nothing else. Data stays; open runs go on at the next start."""
    state, settings = session.state, session.settings
    if not state.root.exists():
        click.echo(f"Nothing was started in {state.root}.")
        return
    engine = engine_of(settings, say)
    doomed: list[Path] = []
    if purge:
        doomed = _doomed(state, engine.purge_paths())
        click.echo("This deletes, for good:")
        for path in doomed:
            click.echo(f"  {path}")
        if not yes:
            if not at_a_terminal():
                raise Refused("a purge was not confirmed", remedy="Say --yes, or run it at a terminal", field="--purge")
            click.confirm("Delete all of this", abort=True)
    with sole_holder(state.root / "up.lock", lambda: say("Another ameide command starts or stops this; waiting.")):
        stopped = [name for name in reversed(NAMES) if _stop(Managed(name, state), settings.drain_seconds)]
        engine.stop()
        if purge:
            engine.purge()
            # The locks are there since this very command took them.
            for path in (*doomed, *(state.root / name for name in _LOCKS)):
                _delete(path)
    if purge:
        _remove_if_empty(state.root)
        click.echo("Deleted.")
    else:
        click.echo(f"Stopped: {', '.join(stopped)}." if stopped else "No process of this installation was running.")


def _stop(managed: Managed, drain: float) -> bool:
    if managed.process() is not None:
        say(f"Stopping {managed.name}.")
    return managed.stop(drain)


def _former_port(state: StateFolder) -> int | None:
    port = state.address().rpartition(":")[2]
    return int(port) if port.isdecimal() else None


def _doomed(state: StateFolder, of_engine: tuple[Path, ...]) -> list[Path]:
    # Of an interrupted restore everything goes, also what people put there before the backup.
    restored = ("credentials", state.restoring.name) if state.restoring.exists() else ()
    paths = [state.root / name for name in (*_OURS, *restored)]
    return [*(path for path in paths if path.exists()), *(path for path in of_engine if path not in paths)]


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        say(f"{folder} stays: it holds files that ameide did not make.")
