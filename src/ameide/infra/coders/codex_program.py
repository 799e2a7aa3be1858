"""Which Codex CLI runs, and how it is called. Its version is pinned: what it prints and how it confines changes."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from ameide.errors import InvalidArgument
from ameide.infra.coders.codex_config import PROFILE
from ameide.infra.codex_package import codex_package
from ameide.infra.settings import UnprivilegedUser

PINNED = "0.163"
_INSTALL = "install ameide's packages again, or name one of this version in AMEIDE_CODEX"


@dataclass(frozen=True)
class Program:
    """The program, and the folder that it needs to see besides the system's."""

    path: Path
    folder: Path

    def exec_argv(self, tree: Path, *, read_only: bool = False) -> tuple[str, ...]:
        """Runs the agent on a working tree; the prompt comes on standard input, events go to standard output."""
        mode = "read-only" if read_only else "workspace-write"
        sandbox = ("-s", mode, "-c", 'approval_policy="never"', "--ignore-rules")
        return (str(self.path), "exec", "--json", *sandbox, "-C", str(tree), "-")

    def sandbox_argv(self, tree: Path, *command: str) -> tuple[str, ...]:
        """Runs a command in the sandbox that the agent's commands get."""
        return (str(self.path), "sandbox", "-P", PROFILE, "-C", str(tree), "--", *command)


def find(named: str, user: UnprivilegedUser | None, search_path: str) -> Program:
    """The program that `named` (a path, may be empty) asks for, else the one of our package, else one on the PATH.

    Raises InvalidArgument when there is none.
    """
    if named:
        path = Path(shutil.which(named, path=search_path) or named)
        if not path.is_file():
            raise InvalidArgument(f"{named} is not there", field="AMEIDE_CODEX", remedy="Correct it or unset it")
        return _of(path)
    try:
        package = codex_package(user)
    except OSError as error:
        raise InvalidArgument(
            f"the package's program cannot be put where user id {user.uid if user else os.geteuid()} may execute it "
            f"({error.strerror})",
            field="AMEIDE_CODEX",
            remedy="Name one that it may execute",
        ) from error
    if package is not None:
        return Program(package / "bin" / "codex", package)
    if found := shutil.which("codex", path=search_path):
        return _of(Path(found))
    raise InvalidArgument("there is no Codex CLI", field="AMEIDE_CODEX", remedy=_INSTALL)


def check_version(said: str) -> str:
    """The version in what ``codex --version`` says. Raises InvalidArgument unless it is the pinned one."""
    words = said.split()
    version = words[-1] if words and words[-1][:1].isdigit() else ""
    if not version:
        raise InvalidArgument(f"it does not tell its version: {said.strip()[:200]!r}", field="codex", remedy=_INSTALL)
    if not version.startswith(f"{PINNED}."):
        raise InvalidArgument(f"this is version {version}, not {PINNED}.x", field="codex", remedy=_INSTALL)
    return version


def _of(path: Path) -> Program:
    """One that somebody else installed: its own folder, or the one above `bin`, holds what belongs to it."""
    real = path.resolve()
    return Program(path, real.parent.parent if real.parent.name == "bin" else real.parent)
