"""`ameide db admit` and `ameide temporal register`: the first steps of an installation with engines of one's own."""

from __future__ import annotations

import asyncio
import json

import click

from ameide.cli.principals import PRINCIPALS, admissions
from ameide.cli.session import Session, pass_session


@click.command()
@click.argument("names", nargs=-1, required=True, type=click.Choice(PRINCIPALS), metavar="NAME…")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of lines NAME=TOKEN.")
@pass_session
def admit(session: Session, names: tuple[str, ...], as_json: bool) -> None:
    """Admit the first principals of a tenant and print a new token for each: for who holds the database.

    NAME is owner, requester, approver, releaser, process, architect, author or verifier, with the roles and queues that
    `ameide up` gives them. The owner admits others: `ameide principal admit`. AMEIDE_TENANT names the tenant. The lines
    are what `kubectl create secret generic --from-env-file` takes.
    """
    from ameide.app import upkeep

    tokens = asyncio.run(upkeep.bootstrap(session.with_databases(), admissions(names)))
    click.echo(json.dumps(tokens) if as_json else "\n".join(f"{name}={secret}" for name, secret in tokens.items()))


@click.group()
def temporal() -> None:
    """Temporal, when it is a server of your own."""


@temporal.command()
@pass_session
def register(session: Session) -> None:
    """Register the namespace and the search attributes of the runs at TEMPORAL_ADDRESS. May be repeated."""
    from ameide.engine.namespace import SEARCH_ATTRIBUTES, register_apart

    settings = session.settings
    if not settings.temporal_address:
        raise click.UsageError("TEMPORAL_ADDRESS names no server; the embedded one is registered by `ameide up`")
    register_apart(settings.temporal_address, settings.temporal_namespace, SEARCH_ATTRIBUTES)
    click.echo(f"Namespace {settings.temporal_namespace} has the search attributes {', '.join(SEARCH_ATTRIBUTES)}.")
