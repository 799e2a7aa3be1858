"""The processes of a work as they are seen from outside its sandbox, where they have other numbers than inside."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil

from ameide.infra.environment import MARKER


def processes_of(state_dir: Path, work_request_id: str) -> set[int]:
    """Every living process that the children of a work below a folder are or became, not what encloses them."""
    found: set[int] = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            folder = Path(process.environ().get(MARKER, "/"))
            named = folder.is_relative_to(state_dir) and folder.name.startswith(f"{work_request_id}-")
            if named and process.status() != psutil.STATUS_ZOMBIE:
                found.add(process.pid)
    return found
