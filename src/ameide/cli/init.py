"""`ameide init`: an `ameide.yaml` from what the repository says about its own tests."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from pathlib import Path

import click

from ameide.cli.options import as_json
from ameide.errors import Conflict, InvalidArgument
from ameide.infra.repo_config import CONFIG_FILE, ConfigError, FolderTree
from ameide.infra.repo_config.detecting import Found, detect
from ameide.infra.repo_config.load import schema
from ameide.infra.repo_config.writing import written


@click.command()
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="The repository; default: the current folder.",
)
@click.option("--force", is_flag=True, help="Write over an ameide.yaml that is there.")
@click.option("--schema", "wants_schema", is_flag=True, help="Print the JSON Schema of ameide.yaml, for an editor.")
@as_json
def init(folder: Path, force: bool, wants_schema: bool, as_json: bool) -> None:
    """Write an ameide.yaml from what is found in a repository, and say what was found and what was guessed."""
    if wants_schema:
        click.echo(json.dumps(schema(), indent=2, ensure_ascii=False))
        return
    target = folder / CONFIG_FILE
    if not force and os.path.lexists(target):
        raise _there(target)
    found = asyncio.run(_found(folder))
    try:
        _write(target, written(found), force=force)
    except FileExistsError as error:
        raise _there(target) from error
    except OSError as error:
        raise InvalidArgument(
            f"cannot be written: {error.strerror}", field=str(target), remedy="Make room for a file there"
        ) from error
    if as_json:
        said = {"ecosystem": found.ecosystem, "found": list(found.found), "guessed": list(found.guessed)}
        click.echo(json.dumps({"file": str(target), **said}, indent=2, ensure_ascii=False))
        return
    click.echo(f"{found.ecosystem}: {'; '.join(found.found)}.")
    for guess in found.guessed:
        click.echo(f"Guessed: {guess}")
    click.echo(f"Wrote {target}. `ameide verify` runs what it says; commit it when that is right.")


def _there(target: Path) -> Conflict:
    return Conflict("is already there", field=str(target), remedy="Change it by hand, or write over it with --force.")


async def _found(folder: Path) -> Found:
    tree = FolderTree(folder)
    found = await detect(await tree.paths(), tree.read)
    if found is None:
        raise ConfigError(
            "no Python, Go, Node or Maven project with tests was found at its root",
            field=str(folder),
            remedy="Write an ameide.yaml with `version: 1` and `verify.suites.default` with `run` and `junit`.",
        )
    return found


def _write(target: Path, text: str, *, force: bool) -> None:
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    partial.write_text(text, encoding="utf-8")
    try:
        if force:
            partial.replace(target)
        else:
            # Fails when somebody else wrote one meanwhile.
            os.link(partial, target)
    finally:
        partial.unlink(missing_ok=True)
