"""`ameide archive`: what the log keeps in the database, and what lies in the object store instead."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import click

from ameide.cli.output import say, table
from ameide.cli.progress import Progress
from ameide.cli.session import Session, pass_session
from ameide.events.archive import Held
from ameide.events.archived import Archive


@click.group(invoke_without_command=True)
@click.option("--keep", type=click.IntRange(0), metavar="MESSAGES", help="Leave at least this many of the newest.")
@click.option(
    "--before", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="Only what was said before this (UTC)."
)
@pass_session
@click.pass_context
def archive(ctx: click.Context, session: Session, keep: int | None, before: datetime | None) -> None:
    """Move old partitions of the log into the object store, verified, and drop them from the database.

    A partition goes as a whole, once every consumer has passed it and its copy was read back and found equal. May be
    ended and run again at any time. Reads the database: for who runs this installation.
    """
    if ctx.invoked_subcommand is not None:
        return
    if keep is None and before is None:
        raise click.UsageError("say what may leave the database: --keep MESSAGES, --before DATE, or both", ctx)
    limit = before.replace(tzinfo=UTC) if before else None
    from ameide.app import upkeep

    async def act() -> None:
        progress = Progress("Archiving")
        async for done in upkeep.archive(session.with_databases(), keep or 0, limit, progress):
            progress.end()
            if isinstance(done, Held):
                say(f"The log from {done.first} on stays: {done.reason}.")
            else:
                click.echo(f"{done.first} to {done.last}  {done.manifest}  sha256:{done.manifest_sha256}")

    asyncio.run(act())


@archive.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the archives as JSON.")
@pass_session
def list_(session: Session, as_json: bool) -> None:
    """What is archived."""
    from ameide.app import upkeep

    found = asyncio.run(upkeep.archives(session.with_databases()))
    if as_json:
        click.echo(json.dumps({"archives": [_json(one) for one in found]}, indent=2))
        return
    table(
        ("FIRST", "LAST", "BYTES", "ARCHIVED", "DROPPED", "MANIFEST"),
        [
            (str(a.first), str(a.last), f"{a.bytes:,}", _moment(a.archived_at), _moment(a.dropped_at), a.manifest)
            for a in found
        ],
        empty="Nothing is archived.",
    )


@archive.command()
@pass_session
def verify(session: Session) -> None:
    """Read every archived byte again. Exit code 1, and the object's name, when one is not what was written."""
    from ameide.app import upkeep

    async def act() -> None:
        count = 0
        async for one in upkeep.verify_archive(session.with_databases()):
            count += one.last - one.first + 1
            say(f"{one.first} to {one.last} is whole.")
        click.echo(f"{count:,} archived messages are what was written.")

    asyncio.run(act())


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _json(one: Archive) -> dict[str, object]:
    dropped = one.dropped_at.isoformat() if one.dropped_at else None
    return {
        "first": one.first,
        "last": one.last,
        "bytes": one.bytes,
        "manifest": one.manifest,
        "manifestSha256": one.manifest_sha256,
        "archivedAt": one.archived_at.isoformat(),
        "droppedAt": dropped,
    }
