"""How `ameide up` starts Python programs of ours: forked by a nursery where that is safe, else each by itself."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from ameide.engine.files import Log
from ameide.engine.namespace import run_apart
from ameide.engine.processes import launch

# Frameworks of macOS start threads of their own, which a fork loses; there each process loads the program itself.
_FORKS = sys.platform == "linux"
# Room for the longest command line; see `nursery`.
_ROOM = " " * 1024


class Nursery:
    """Starts programs. `folder` is where they run, `log` gets what the nursery says, `environment` is what it has.

    Leaving it ends the nursery and none of the programs. A nursery that dies is replaced by starting them directly.
    """

    def __init__(self, folder: Path, log: Path, environment: Mapping[str, str]) -> None:
        self._folder, self._log, self._environment = folder, log, environment
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.communicate()

    def begin(self) -> None:
        """Let it load the program meanwhile. Without this, every program is started directly."""
        if not _FORKS or self._process is not None:
            return
        with self._log.open("ab") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ameide.cli.nursery", _ROOM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                env=self._environment,
                cwd=self._folder,
                start_new_session=True,
            )

    def start(self, argv: Sequence[str], log: Path, environment: Mapping[str, str]) -> int:
        """Start ``python -m <argv>`` in a session of its own, its output appended to `log`; returns its pid."""
        pid = self._order(argv, log, environment, wait=False)
        return launch([sys.executable, "-m", *argv], log, environment, self._folder) if pid is None else pid

    def run(self, argv: Sequence[str], log: Path) -> tuple[int, str]:
        """Run ``python -m <argv>`` to its end; its exit code, and its output, which is appended to `log`."""
        said = Log(log)
        code = self._order(argv, log, self._environment, wait=True)
        return run_apart(argv) if code is None else (code, said.gained())

    def _order(self, argv: Sequence[str], log: Path, environment: Mapping[str, str], *, wait: bool) -> int | None:
        """The answer, or None when there is no nursery, or none any more."""
        if self._process is None or self._process.stdin is None or self._process.stdout is None:
            return None
        order = {
            "argv": list(argv),
            "environment": dict(environment),
            "folder": str(self._folder),
            "log": str(log),
            "wait": wait,
        }
        try:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
            return int(self._process.stdout.readline())
        except (OSError, ValueError):
            return None
