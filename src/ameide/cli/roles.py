"""`ameide serve`, `ameide executor`, `ameide db`: the roles that `ameide up` starts, for who starts them alone."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import click

from ameide import schema
from ameide.cli.engines import embedded_database
from ameide.cli.output import say
from ameide.cli.session import Session, pass_session
from ameide.engine.files import write_whole

_ready_file = click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the process id to this file once everything works.",
)


@click.command()
@click.argument("roles", nargs=-1, required=True, metavar="ROLE…")
@_ready_file
@pass_session
def serve(session: Session, roles: tuple[str, ...], ready_file: Path | None) -> None:
    """Run roles in this process until it is told to stop: domain relay sweeper ingress projector notifier worker."""
    # Imported here, as below: the composition loads every part of the program, which `ameide --help` need not wait for.
    from ameide.app import control

    control.serve(roles, session.settings, lambda: _tell(ready_file))


@click.group()
def executor() -> None:
    """Run delegated work."""


@executor.command()
@_ready_file
@pass_session
def pool(session: Session, ready_file: Path | None) -> None:
    """Run a long-lived executor: an author for agent work, a verifier for tool runs, each with its own token."""
    from ameide.app import executors

    executors.pool(session.settings, lambda: _tell(ready_file))


@click.group()
def db() -> None:
    """The database."""


@db.command()
@pass_session
def migrate(session: Session) -> None:
    """Bring the schema up to date. Refused by a database that is newer than this program."""
    settings = session.settings
    if not settings.database_url_admin:
        settings = replace(settings, **embedded_database(settings, say))
    applied = asyncio.run(schema.migrate(settings))
    click.echo("\n".join(applied) if applied else "The schema is up to date.")


def _tell(ready_file: Path | None) -> None:
    if ready_file is not None:
        write_whole(ready_file, f"{os.getpid()}\n", mode=0o600)
