"""`ameide up`: this machine's control plane, started as a whole."""

from __future__ import annotations

import time

import click

from ameide import config
from ameide.cli.forking import Nursery
from ameide.cli.output import say
from ameide.cli.processes import BASE_VARIABLES, EXECUTOR, Managed, wanted
from ameide.cli.session import Session, pass_session
from ameide.cli.state import StateFolder
from ameide.engine.files import sole_holder
from ameide.errors import Refused

_NEXT = "Next: ameide status, or ameide repo add URL"


@click.command()
@click.option(
    "--no-executor", is_flag=True, help="Leave the executor out, and end the one that runs: others do the work."
)
@pass_session
def up(session: Session, no_executor: bool) -> None:
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
    with (
        sole_holder(state.root / "up.lock", lambda: say("Another ameide command starts or stops this; waiting.")),
        Nursery(state.root, state.logs / "nursery.log", config.passed_through(BASE_VARIABLES)) as nursery,
    ):
        stopped = _leave_out_executor(state, session.settings.drain_seconds, leave_out=no_executor)
        managed = {name: Managed(name, state) for name in wanted(state)}
        if any(one.process() is None for one in managed.values()):
            nursery.begin()
        # Imported here: what starts the engines is loaded while the nursery loads the program.
        from ameide.cli.bringing_up import bring_up

        address, started = bring_up(session.settings, managed, nursery)
    done = [f"{', '.join(started)} started"] if started else []
    done += ["executor ended"] if stopped else []
    if not done:
        click.echo(f"Already running at {address}. Nothing to do.")
    else:
        click.echo(f"Ready at {address} after {time.monotonic() - begun:.1f} s: {', '.join(done)}.")
        click.echo("Next: ameide executor run-once --queue QUEUE" if no_executor else _NEXT)


def _leave_out_executor(state: StateFolder, drain: float, *, leave_out: bool) -> bool:
    """Remember whether the executor is left out, and end one that is not wanted; whether one ran."""
    if not leave_out:
        state.without_executor.unlink(missing_ok=True)
        return False
    state.without_executor.touch(mode=0o600)
    executor = Managed(EXECUTOR, state)
    if executor.process() is not None:
        say("Ending the executor; it gives back what it is at.")
    return executor.stop(drain)
