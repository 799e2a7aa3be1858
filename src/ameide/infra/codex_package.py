"""The programs of the package `openai-codex-cli-bin`: the Codex CLI, its helpers, and a bubblewrap of its own."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
from pathlib import Path

from ameide.engine.account import SHARED, Account
from ameide.infra.settings import UnprivilegedUser

PACKAGE = "openai-codex-cli-bin"
_MODULE = "codex_cli_bin"


def codex_package(user: UnprivilegedUser | None, shared: Path = SHARED) -> Path | None:
    """The package's folder where `user` can execute it, copied there once if need be; None when it is not installed.

    Below it lie ``bin/codex``, ``codex-resources/bwrap`` and ``codex-path/rg``. The programs find each other relative
    to themselves, so the folder goes as a whole. Raises `OSError` when the copy cannot be made.
    """
    spec = importlib.util.find_spec(_MODULE)
    if spec is None or spec.origin is None:
        return None
    package = Path(spec.origin).resolve().parent
    if user is None or Account(user.uid, user.gid).can_reach(package / "bin" / "codex"):
        return package
    copy = shared / "toolchain" / f"codex-{importlib.metadata.version(PACKAGE)}"
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        partial = copy.with_name(f".{copy.name}.{os.getpid()}")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(package, partial, ignore=shutil.ignore_patterns("__pycache__"), copy_function=_link)
        for path in (partial, *partial.rglob("*")):
            path.chmod(path.stat().st_mode | 0o555)
        try:
            partial.rename(copy)
        except OSError:
            # Another executor was quicker; both copied the same.
            shutil.rmtree(partial, ignore_errors=True)
            if not copy.exists():
                raise
    return copy


def _link(source: str, target: str) -> None:
    """300 MB take a moment to copy and none to link."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
