"""`ameide up` on a warm machine, against the start of its own engines, PostgreSQL and Temporal, alone."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ameide.engine.engine import Engine
from benchmarks import command
from benchmarks.installation import Cluster
from benchmarks.protocol import Plan, Row, alternate, compare

NAME = "starting"


class Installed:
    """A state folder in which `ameide up` has run once."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ameide-bench-up-"))
        self.folder.chmod(0o711)
        self.cache = Path(os.environ.get("AMEIDE_CACHE_DIR") or Path.home() / ".cache" / "ameide")

    def ameide(self, *arguments: str) -> float:
        """Run one command as a person does; the seconds that it took."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AMEIDE_", "TEMPORAL_"))}
        begun = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "ameide", *arguments],
            env={**kept, "AMEIDE_STATE_DIR": str(self.folder), "AMEIDE_CACHE_DIR": str(self.cache)},
            cwd=self.folder,
            capture_output=True,
            check=True,
        )
        return time.perf_counter() - begun

    def engine_start(self) -> float:
        """Start the engines only, and stop them again; the seconds that the start took."""
        engine = Engine(self.folder, self.cache, lambda _line: None)
        begun = time.perf_counter()
        engine.start()
        taken = time.perf_counter() - begun
        engine.stop()
        return taken

    def remove(self) -> None:
        """Stop and delete everything."""
        self.ameide("down", "--purge", "--yes")
        shutil.rmtree(self.folder, ignore_errors=True)


async def bench(_cluster: Cluster, plan: Plan) -> list[Row]:
    """One row; a block is one start, whatever its length."""
    there = Installed()
    try:
        there.ameide("up")
        there.ameide("down")

        async def ours(_seconds: float) -> float:
            taken = await asyncio.to_thread(there.ameide, "up")
            await asyncio.to_thread(there.ameide, "down")
            return taken

        async def engines(_seconds: float) -> float:
            return await asyncio.to_thread(there.engine_start)

        found = await alternate({"up": ours, "engines": engines}, plan)
    finally:
        there.remove()
    return [
        compare(
            "`ameide up`, warm",
            "the start of its own engines",
            found["up"],
            found["engines"],
            reach=1.5,
            aim=1.1,
            better="low",
            unit="s",
        )
    ]


if __name__ == "__main__":
    command.main(NAME)
