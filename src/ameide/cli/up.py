"""`ameide up`: this machine's control plane, started as a whole."""

from __future__ import annotations

import time

import click

from ameide import config
from ameide.cli.forking import Nursery
from ameide.cli.output import say
from ameide.cli.processes import ARCHITECT, BASE_VARIABLES, EXECUTOR, Managed, wanted
from ameide.cli.session import Session, pass_session
from ameide.cli.state import StateFolder
from ameide.engine.files import sole_holder
from ameide.errors import Refused

_NEXT = "Next: ameide status, ameide repo add URL, or ameide chat"


@click.command()
@click.option(
    "--no-executor", is_flag=True, help="Leave the executor out, and end the one that runs: others do the work."
)
@pass_session
def up(session: Session, no_executor: bool) -> None:
    """Start the control plane on this machine: engines, control, worker, executor, architect. Open runs go on."""
    begun = time.monotonic()
    state = session.state
    if state.restoring.exists():
        raise Refused(
            f"a restore into {state.root} was interrupted",
            remedy="Delete what it left with `ameide down --purge`, then restore again",
        )
    # A child that knows the path could otherwise read what other works are about.
    state.prepare(session.settings.forge_root, session.settings.registry_root)
    with (
        sole_holder(state.root / "up.lock", lambda: say("Another ameide command starts or stops this; waiting.")),
        Nursery(state.root, state.logs / "nursery.log", config.passed_through(BASE_VARIABLES)) as nursery,
    ):
        stopped = _leave_out(state, EXECUTOR, session.settings.drain_seconds, out=no_executor)
        without = without_architect(session)
        if without:
            say(without)
        stopped += _leave_out(state, ARCHITECT, session.settings.drain_seconds, out=bool(without))
        managed = {name: Managed(name, state) for name in wanted(state)}
        if any(one.process() is None for one in managed.values()):
            nursery.begin()
        # Imported here: what starts the engines is loaded while the nursery loads the program.
        from ameide.cli.bringing_up import bring_up

        address, started = bring_up(session.settings, managed, nursery)
    done = [f"{', '.join(started)} started"] if started else []
    done += [f"{name} ended" for name in stopped]
    if not done:
        click.echo(f"Already running at {address}. Nothing to do.")
    else:
        click.echo(f"Ready at {address} after {time.monotonic() - begun:.1f} s: {', '.join(done)}.")
        click.echo("Next: ameide executor run-once --queue QUEUE" if no_executor else _NEXT)


def without_architect(session: Session) -> str:
    """Why there can be no Architect agent, or nothing."""
    settings = session.settings
    if settings.database_url_app and not settings.database_url_architect:
        return "There is no Architect agent: set AMEIDE_DATABASE_URL_ARCHITECT, and run `ameide db migrate`."
    return ""


def _leave_out(state: StateFolder, name: str, drain: float, *, out: bool) -> list[str]:
    """Remember whether a process is left out, and end one that is not wanted; its name if it ran."""
    if not out:
        state.left_out(name).unlink(missing_ok=True)
        return []
    state.left_out(name).touch(mode=0o600)
    managed = Managed(name, state)
    if managed.process() is not None:
        say(f"Ending the {name}" + ("; it gives back what it is at." if name == EXECUTOR else "."))
    return [name] if managed.stop(drain) else []
