"""`ameide projection`: the read model made again from what was said."""

from __future__ import annotations

import asyncio
import time

import click

from ameide.cli.progress import Progress
from ameide.cli.session import Session, pass_session
from ameide.errors import Refused
from ameide.views.shadow import Difference

_KEYS = {
    "view_fact": ("tenant_id", "position"),
    "view_state": ("tenant_id", "kind", "id"),
    "view_process": ("tenant_id", "process_instance_id"),
}


@click.group()
def projection() -> None:
    """The read model, which can be made again at any time."""


@projection.command()
@click.option("--verify", is_flag=True, help="Change nothing: compare with the live one, exit code 1 on a difference.")
@pass_session
def rebuild(session: Session, verify: bool) -> None:
    """Project archive and log from the first message on, beside the live read model, and swap the result in.

    Everything goes on meanwhile. A rebuild that is ended early has changed nothing; run it again. Writes the database:
    for who runs this installation.
    """
    from ameide.app import upkeep

    progress = Progress("Projecting")
    began = time.monotonic()
    settings = session.with_databases()
    if not verify:
        position = asyncio.run(upkeep.rebuild(settings, progress))
        progress.end()
        click.echo(f"The read model was rebuilt from {position:,} messages{_rate(position, began)} and is in place.")
        return
    position, found = asyncio.run(upkeep.compare_rebuild(settings, progress))
    progress.end()
    if found:
        raise Refused(
            "; ".join(map(_sentence, found)),
            remedy="`ameide projection rebuild` puts the rebuilt one in its place",
            reason="READ_MODEL_DIFFERS",
        )
    click.echo(f"The read model is what {position:,} messages make it{_rate(position, began)}.")


def _rate(count: int, began: float) -> str:
    seconds = time.monotonic() - began
    return f" ({seconds:.1f} s, {count / seconds:,.0f}/s)"


def _sentence(found: Difference) -> str:
    row = found.live or found.rebuilt or {}
    key = " ".join(f"{name}={row.get(name)}" for name in _KEYS[found.table])
    if found.live is None:
        how = "is missing in the live one"
    elif found.rebuilt is None:
        how = "is in the live one only"
    else:
        how = f"differs in {', '.join(found.columns)}"
    rows = "row" if found.count == 1 else "rows"
    return f"{found.table} differs in {found.count:,} {rows}, first: {key} {how}"
