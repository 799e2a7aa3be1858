"""`ameide down`: this machine's control plane, stopped as a whole."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from ameide.cli.engines import engine_of
from ameide.cli.output import at_a_terminal, say
from ameide.cli.processes import NAMES, Managed
from ameide.cli.session import Session, pass_session
from ameide.cli.state import StateFolder
from ameide.engine.files import sole_holder
from ameide.errors import Refused

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
    "dependencies",
    "engine",
    "chats",
    "secrets.json",
    *_LOCKS,
)


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
