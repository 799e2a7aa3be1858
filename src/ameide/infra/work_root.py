"""The folder in which one executor makes its workspaces, and what a killed executor left there."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path

import psutil

from ameide.engine.account import SHARED, Account
from ameide.infra.environment import MARKER
from ameide.infra.settings import UnprivilegedUser
from ameide.infra.workspace import delete

logger = logging.getLogger(__name__)

_MOST = 64


@dataclass(frozen=True)
class WorkRoot:
    """A folder that is this executor's alone until `close`."""

    folder: Path
    lock: int
    number: int = 1
    """Counts the executors of a name on this machine, from 1."""

    def close(self) -> None:
        """Let the next executor have it."""
        os.close(self.lock)


def reachable(work_dir: Path, user: UnprivilegedUser | None) -> Path:
    """`work_dir`, or a folder for it below /var/lib/ameide when the children's user has no way into it."""
    if user is None:
        return work_dir
    _passable(work_dir)
    if Account(user.uid, user.gid).can_reach(work_dir / "any"):
        return work_dir
    return SHARED / hashlib.sha256(os.fsencode(work_dir.resolve())).hexdigest()[:12] / "work"


def occupy(folder: Path, name: str) -> WorkRoot:
    """The first folder ``<name>-<n>`` that no living executor holds, emptied of what a dead one left, its children
    ended.
    """
    _passable(folder)
    for number in range(1, _MOST + 1):
        root = folder / f"{name}-{number}"
        _passable(root)
        lock = os.open(folder / f".{root.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            continue
        _clear(root)
        return WorkRoot(root, lock, number)
    raise RuntimeError(f"{folder} already serves {_MOST} executors; name another folder in AMEIDE_WORK_DIR.")


def _passable(folder: Path) -> None:
    """Make a folder that others may pass through and not list."""
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711)


def _clear(root: Path) -> None:
    for pid in _children_of(root):
        with contextlib.suppress(psutil.Error):
            psutil.Process(pid).kill()
            logger.warning("ended a child that a killed executor left", extra={"pid": pid})
    for left in root.iterdir():
        delete(left)


def _children_of(root: Path) -> list[int]:
    found: list[int] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if Path(process.environ().get(MARKER, "/")).is_relative_to(root):
                found.append(process.pid)
    return found
