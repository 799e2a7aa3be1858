"""`ameide up`: this machine's control plane, started as a whole."""

from __future__ import annotations

import time

import click

from ameide import config
from ameide.cli.forking import Nursery
from ameide.cli.output import say
from ameide.cli.processes import BASE_VARIABLES, NAMES, Managed
from ameide.cli.session import Session, pass_session
from ameide.engine.files import sole_holder
from ameide.errors import Refused


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
    with (
        sole_holder(state.root / "up.lock", lambda: say("Another ameide command starts or stops this; waiting.")),
        Nursery(state.root, state.logs / "nursery.log", config.passed_through(BASE_VARIABLES)) as nursery,
    ):
        managed = {name: Managed(name, state) for name in NAMES}
        if any(one.process() is None for one in managed.values()):
            nursery.begin()
        # Imported here: what starts the engines is loaded while the nursery loads the program.
        from ameide.cli.bringing_up import bring_up

        address, started = bring_up(session.settings, managed, nursery)
    if not started:
        click.echo(f"Already running at {address}. Nothing to do.")
    else:
        click.echo(f"Ready at {address} after {time.monotonic() - begun:.1f} s: {', '.join(started)} started.")
        click.echo("Next: ameide status, or ameide repo add URL")
