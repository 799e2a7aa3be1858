"""`ameide doctor`: can this machine do the work? Each answer is pass or fail, with the remedy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click

from ameide import config
from ameide.cli.engines import engine_of
from ameide.cli.output import table
from ameide.cli.session import Session, pass_session
from ameide.config import Settings

_SPACE = 2 * 1024**3
_GIT = (2, 38)
Check = tuple[str, bool, str]


@click.command()
@pass_session
def doctor(session: Session) -> None:
    """Check what the control plane and its executors need on this machine. Exit code 1 when something is missing."""
    checks = [check(session.settings) for check in _CHECKS]
    table(
        ("", "CHECK", ""),
        [
            (click.style("pass", fg="green") if good else click.style("FAIL", fg="red"), name, said)
            for name, good, said in checks
        ],
    )
    raise click.exceptions.Exit(0 if all(good for _, good, _ in checks) else 1)


def _python(_settings: Settings) -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return "Python 3.11 or newer", sys.version_info >= (3, 11), f"{version}, {sys.executable}"


def _git(_settings: Settings) -> Check:
    name = f"git {_GIT[0]}.{_GIT[1]} or newer (merge-tree --write-tree)"
    try:
        said = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return name, False, "install git"
    numbers = tuple(int(part) for part in said.split()[2].split(".")[:2])
    return name, numbers >= _GIT, said if numbers >= _GIT else f"{said}: install a newer one"


def _buf(_settings: Settings) -> Check:
    return _program("buf", "comes with ameide's own packages; reinstall them")


def _program(name: str, remedy: str) -> Check:
    # Tools of our own installation lie beside the interpreter, which need not be on the PATH.
    path = config.passed_through(["PATH"]).get("PATH", os.defpath)
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{path}")
    return name, found is not None, found or remedy


def _state(settings: Settings) -> Check:
    folder = settings.state_dir
    while not folder.exists():
        folder = folder.parent
    good = os.access(folder, os.W_OK | os.X_OK)
    return "state folder can be written", good, str(settings.state_dir) if good else f"{folder}: set AMEIDE_STATE_DIR"


def _space(settings: Settings) -> Check:
    folder = settings.state_dir
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return "2 GiB free for the state folder", free >= _SPACE, f"{free / 1024**3:.1f} GiB at {folder}"


def _temporal(settings: Settings) -> Check:
    name = "Temporal server"
    if settings.temporal_address:
        return name, True, f"of your own, at {settings.temporal_address}"
    lines: list[str] = []
    install = engine_of(settings, lines.append).install
    return (
        name,
        True,
        str(install.server) if install.is_complete() else "is built at the first `ameide up`, in some minutes",
    )


def _coder(settings: Settings) -> Check:
    name = "coder `command`"
    if not settings.coder_command:
        return name, True, "not set up; AMEIDE_CODER_COMMAND names a program that changes the working tree"
    found = shutil.which(settings.coder_command[0])
    return (
        name,
        found is not None,
        found or f"{settings.coder_command[0]} is not on the PATH: correct AMEIDE_CODER_COMMAND",
    )


_CHECKS: tuple[Callable[[Settings], Check], ...] = (_python, _git, _buf, _state, _space, _temporal, _coder)
