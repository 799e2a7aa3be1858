"""`ameide backup` and `ameide restore`: an installation on the embedded engines as one folder of files."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click

from ameide import schema
from ameide.cli.backup_files import STATE, Manifest, complete, pack, partial, unpack, verified
from ameide.cli.engines import embedded_database, engine_of
from ameide.cli.output import say
from ameide.cli.session import Session, pass_session
from ameide.cli.state import StateFolder
from ameide.config import Settings
from ameide.engine.cluster import MAJOR
from ameide.engine.engine import Engine
from ameide.engine.files import sole_holder, write_whole
from ameide.engine.install import VERSION
from ameide.errors import Refused

# Not the processes of this machine, their logs and workspaces, nor ports: those are chosen anew.
_KEPT = ("secrets.json", "tokens", "engine/secrets.json", "patches", "credentials", "remotes", "registry", "objects")


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@pass_session
def backup(session: Session, folder: Path) -> None:
    """Back the installation up into DIR, which must not be there yet. It may run meanwhile, and goes on.

    DIR holds passwords, tokens and credentials: keep it as safe as the installation.
    """
    settings, state, target = session.settings, session.state, folder.absolute()
    engine = _embedded(settings)
    if not engine.home.exists():
        raise Refused(f"nothing was started in {state.root} yet", remedy="Name the state folder with --state-dir")
    with sole_holder(state.root / "up.lock", lambda: say("Another ameide command starts or stops this; waiting.")):
        # Only now: what lies beside may be what the holder before us is making.
        beside = partial(target)
        try:
            manifest = _take(settings, engine, beside)
            complete(beside, target, manifest)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
    size = sum(path.stat().st_size for path in target.rglob("*"))
    click.echo(f"{target} holds everything, {size / 1024**2:.1f} MiB, schema {manifest.schema}.")
    for place in manifest.left_out:
        click.echo(f"Not in it, back it up where it is: {place}")
    click.echo(f"Keep it safe: it holds passwords and tokens. Restore: ameide --state-dir NEW restore {target}")


def _take(settings: Settings, engine: Engine, beside: Path) -> Manifest:
    ran = any(one.pid for one in engine.status() if one.name == "postgres")
    admin = replace(settings, **embedded_database(settings, say))
    try:
        number = asyncio.run(schema.number(admin))
        say("Copying the databases.")
        engine.take_snapshot(beside)
    finally:
        if not ran:
            engine.stop()
    # After the records: what they refer to is never changed, so a file that came later does no harm.
    say("Copying evidence, registry, remotes and secrets.")
    pack(settings.state_dir, _KEPT, beside / STATE)
    return Manifest(
        ameide=metadata.version("ameide"),
        taken_at=datetime.now(UTC).isoformat(timespec="seconds"),
        schema=number,
        postgres=MAJOR,
        temporal=VERSION,
        state_dir=str(settings.state_dir),
        left_out=_elsewhere(settings),
    )


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False))
@pass_session
def restore(session: Session, folder: Path) -> None:
    """Restore the backup in DIR into an empty state folder. `ameide up` then goes on with open runs.

    Every file is compared with its sum first. Never let the restored and the former installation run at the same time.
    """
    state, source = session.state, folder.absolute()
    engine = _embedded(session.settings)
    occupied = sorted(path.name for path in state.root.iterdir()) if state.root.exists() else []
    if occupied or engine.purge_paths():
        raise Refused(
            f"{state.root} is not empty" + (f": it holds {', '.join(occupied[:5])}" if occupied else ""),
            field="--state-dir",
            remedy="Name an empty folder with --state-dir, or delete this installation with `ameide down --purge`",
        )
    manifest = verified(source)
    _admit(manifest, schema.known())
    state.prepare()
    # Until it is gone, `ameide up` refuses: a half-restored folder would begin an empty installation.
    write_whole(state.restoring, f"{source}\n", mode=0o600)
    say("Every file is as it was backed up. Restoring.")
    unpack(source / STATE, state.root)
    engine.put_snapshot(source)
    state.restoring.unlink()
    click.echo(f"Restored the installation of {manifest.taken_at} into {state.root}. Go on with it: ameide up")
    for place in manifest.left_out:
        click.echo(f"It needs this as well, which was not in the backup: {place}")
    moved = (state.root / "remotes").exists() and Path(manifest.state_dir) != state.root
    if moved:
        former = Path(manifest.state_dir) / "remotes"
        click.echo(
            f"Its records name local remotes in {former}; let that path lead here: ln -s {state.root}/remotes {former}"
        )


def _embedded(settings: Settings) -> Engine:
    if settings.database_url_app or settings.temporal_address:
        raise Refused(
            "the settings name engines of your own",
            field="AMEIDE_DATABASE_URL_APP" if settings.database_url_app else "TEMPORAL_ADDRESS",
            remedy="Back PostgreSQL and Temporal up with their own tools; this is for the embedded ones",
        )
    return engine_of(settings, say)


def _admit(manifest: Manifest, known: int) -> None:
    unknown: list[str] = []
    if manifest.schema > known:
        unknown.append(f"schema {manifest.schema}")
    if manifest.postgres != MAJOR:
        unknown.append(f"PostgreSQL {manifest.postgres}")
    if _numbers(manifest.temporal) > _numbers(VERSION):
        unknown.append(f"Temporal {manifest.temporal}")
    if unknown:
        raise Refused(
            f"the backup has {', '.join(unknown)}, which this ameide does not know",
            field="DIR",
            remedy=f"Restore it with ameide {manifest.ameide}",
            reason="NEWER_BACKUP",
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _elsewhere(settings: Settings) -> list[str]:
    """Places of the installation that lie outside of its state folder."""
    store = urlsplit(settings.object_store)
    objects = Path(unquote(store.path)) if store.scheme == "file" else None
    state = StateFolder(settings.state_dir)
    places: list[str] = []
    if objects != state.root / "objects":
        places.append(f"object store {settings.object_store}")
    for what, path, name in (
        ("registry", settings.registry_root, "registry"),
        ("remotes", settings.forge_root, "remotes"),
        ("credentials", settings.credentials_dir, "credentials"),
        ("patches", settings.patches_dir, "patches"),
    ):
        if path != state.root / name:
            places.append(f"{what} {path}")
    return places
