"""`ameide serve`, `ameide db`: the roles that `ameide up` starts, for who starts them alone."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import click

from ameide import schema
from ameide.cli.engines import embedded_database
from ameide.cli.founding import admit
from ameide.cli.output import say
from ameide.cli.ready import ready_file_option, tell_ready
from ameide.cli.session import Session, pass_session
from ameide.errors import InvalidArgument


@click.command()
@click.argument("roles", nargs=-1, required=True, metavar="ROLE…")
@ready_file_option
@pass_session
def serve(session: Session, roles: tuple[str, ...], ready_file: Path | None) -> None:
    """Run roles in this process until it is told to stop.

    Roles are domain, relay, forwarder, sweeper, ingress, projector, notifier and worker, or architect alone.
    """
    # Imported here, as below: the composition loads every part of the program, which `ameide --help` need not wait for.
    if roles == ("architect",):
        from ameide.app import architect

        architect.serve(session.settings, lambda: tell_ready(ready_file))
        return
    if "architect" in roles:
        raise InvalidArgument(
            "architect runs in a process of its own, which has no database but its own",
            field="ROLE",
            remedy="Serve it apart: `ameide serve architect`",
        )
    from ameide.app import control

    control.serve(roles, session.settings, lambda: tell_ready(ready_file))


@click.group()
def db() -> None:
    """The database."""


db.add_command(admit)


@db.command()
@pass_session
def migrate(session: Session) -> None:
    """Bring the schema up to date. Refused by a database that is newer than this program."""
    settings = session.settings
    if not settings.database_url_admin:
        settings = replace(settings, **embedded_database(settings, say))
    applied = asyncio.run(schema.migrate(settings))
    click.echo("\n".join(applied) if applied else "The schema is up to date.")
