"""`python -m tests.faults.mutated MUTATION READY_FILE ROLE…`: `ameide serve ROLE…`, less one protection."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from ameide import config
from ameide.app import control
from tests.faults.mutations import MUTATIONS


def main(mutation: str, ready: str, *roles: str) -> None:
    """Serve until told to stop; everything else comes from the environment."""
    MUTATIONS[mutation](pytest.MonkeyPatch())
    control.serve(roles, config.read(), lambda: write(Path(ready)))


def write(ready: Path) -> None:
    """Say that all roles work."""
    ready.write_text(str(os.getpid()), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
