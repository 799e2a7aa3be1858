"""How the engines use files: written whole or not at all, private where a secret is inside, one writer."""

import fcntl
import json
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import cast


def write_whole(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace ``path`` in one step; a reader sees the old text or the new one, and a crash leaves the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def read_json(path: Path) -> dict[str, object]:
    """The object in ``path``; empty when the file is absent or was cut short, which callers treat as "not recorded"."""
    try:
        value: object = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log, to be quoted in an error; empty when there is none."""
    try:
        return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


class Log:
    """What a log gains from now on, to be quoted in an error."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._from = path.stat().st_size if path.exists() else 0

    def gained(self) -> str:
        """The text since then; empty when nothing was written."""
        if not self.path.exists():
            return ""
        with self.path.open("rb") as file:
            file.seek(self._from)
            return file.read().decode("utf-8", errors="replace")


@contextmanager
def sole_holder(path: Path, waiting: Callable[[], None]) -> Generator[None]:
    """Hold the lock file ``path`` against other processes; calls ``waiting`` once if somebody else has it.

    The kernel drops the lock with its last holder, so a killed process leaves nothing to clean up. A child that is
    started with ``close_fds=False`` holds it too: if it survives us, others wait for it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Whoever can open the file, if only to read it, can hold the lock.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        os.set_inheritable(file.fileno(), True)
        yield
