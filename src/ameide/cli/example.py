"""`ameide repo example`: a repository to try things on, with its environments, as git remotes of this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from ameide.cli.output import say
from ameide.cli.session import Session, pass_session
from ameide.delivery.demo_remotes import create_orders_remotes, orders_patches

_FIRST = "orders"


def remotes(forge_root: Path, name: str) -> tuple[Path, Path]:
    """Where the example called `name` lies: the service's remote, and that of its environments."""
    folder = forge_root if name == _FIRST else forge_root / name
    return folder / "orders.git", folder / "orders-gitops.git"


def free_name(forge_root: Path) -> str:
    """`orders`, or the first of `orders-2`, `orders-3`, … that isn't there yet."""
    number, name = 1, _FIRST
    while remotes(forge_root, name)[0].exists():
        number += 1
        name = f"{_FIRST}-{number}"
    return name


@click.command()
@click.argument("name", default=_FIRST)
@pass_session
def example(session: Session, name: str) -> None:
    """Make the example service and its environments as git remotes, and the patches of the offline coder."""
    orders, gitops = remotes(session.settings.forge_root, name)
    create_orders_remotes(orders.parent)
    patches = session.settings.patches_dir
    if patches.exists():
        say(f"{patches} stays as it is; the offline coder applies what is in it.")
    else:
        shutil.copytree(orders_patches(), patches)
    click.echo(f"{orders}\n{gitops}")
