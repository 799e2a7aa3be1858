"""The repository that the kit's works are about: a `verify` script, and an `ameide.yaml` that calls it.

So ameide's own executors do them as they do any, and a program of a few lines runs the script.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_CONFIGURATION = """\
version: 1
component: kit
verify:
  suites:
    default:
      run: [./verify]
      output: tap
"""
_GREEN = "#!/bin/sh\necho 1..1\necho 'ok 1 - the kit is green'\n"
_RED = "#!/bin/sh\necho 1..1\necho 'not ok 1 - the kit is red'\nexit 1\n"
LONG_ONES = 4


@dataclass(frozen=True)
class Repository:
    """Where it lies, and its commits: a green one, a red one, and some that run until they are killed.

    A running one is known by its `markers`, words of a command line that nothing else has.
    """

    url: str
    green: str
    red: str
    long: tuple[str, ...]
    markers: tuple[str, ...]


def make(folder: Path, number: int) -> Repository:
    """A repository in `folder`, and beside it a folder `work` that other users may pass.

    `number` is that of the run: several look for their own children at a time.
    """
    folder.mkdir(parents=True)
    folder.parent.chmod(0o711)
    (folder.parent / "work").mkdir(mode=0o711)
    _git(folder, "init", "-q", "-b", "main")
    (folder / "ameide.yaml").write_text(_CONFIGURATION, encoding="utf-8")
    green, red = _commit(folder, _GREEN), _commit(folder, _RED)
    markers = tuple(f"300.{number:03}{place:03}" for place in range(LONG_ONES))
    long = tuple(_commit(folder, f"#!/bin/sh\necho running\nsleep {marker}\n") for marker in markers)
    return Repository(folder.as_uri(), green, red, long, markers)


def _commit(folder: Path, script: str) -> str:
    (folder / "verify").write_text(script, encoding="utf-8")
    (folder / "verify").chmod(0o755)
    _git(folder, "add", "-A")
    _git(folder, "commit", "-q", "-m", "verify")
    return _git(folder, "rev-parse", "HEAD")


def _git(folder: Path, *argv: str) -> str:
    command = ["git", "-c", "user.name=Kit", "-c", "user.email=kit@example.org", "-C", str(folder), *argv]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
