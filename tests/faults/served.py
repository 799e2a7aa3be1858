"""Roles of the program in a process of their own, on a test's database."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ameide.config import DATABASE_ROLES
from tests.acceptance.installation import ROOT
from tests.conftest import SpineDatabase

PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Served:
    """A running process. `said` is what it wrote."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        """What it logged."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    async def killed(self) -> None:
        """Wait until it has killed itself."""
        code = await asyncio.to_thread(self.process.wait, PATIENCE_SECONDS)
        assert code == -signal.SIGKILL, self.said


@contextmanager
def started(
    folder: Path, database: SpineDatabase, *roles: str, mutation: str = "no_mutation", **settings: str
) -> Generator[Served]:
    """Start a process with these roles; ended with the block if it still runs. `settings` are variables."""
    number = len(list(folder.glob("served-*.log")))
    log, ready = folder / f"served-{number}.log", folder / f"served-{number}.ready"
    urls = {
        f"AMEIDE_DATABASE_URL_{role.removeprefix('ameide_').upper()}": database.dsn(role) for role in DATABASE_ROLES
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.mutated", mutation, str(ready), *roles],
            env={"PATH": os.environ["PATH"], "AMEIDE_STATE_DIR": str(folder / "state"), **urls, **settings},
            cwd=ROOT,
            stdout=output,
            stderr=output,
        )
    try:
        yield Served(process, log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        process.wait(PATIENCE_SECONDS)


@asynccontextmanager
async def serving(
    folder: Path, database: SpineDatabase, *roles: str, mutation: str = "no_mutation", **settings: str
) -> AsyncGenerator[Served]:
    """The same, and wait until it works."""
    with started(folder, database, *roles, mutation=mutation, **settings) as served:
        ready = served.log.with_suffix(".ready")

        async def works() -> bool:
            assert served.process.poll() is None, served.said
            return ready.exists()

        await until(works, "the process to work")
        yield served


async def until(condition: Callable[[], Awaitable[bool]], what: str, patience: float = PATIENCE_SECONDS) -> None:
    """Look now and then until the condition holds."""
    deadline = time.monotonic() + patience
    while not await condition():
        assert time.monotonic() < deadline, f"waited {patience:.0f} s for {what}"
        await asyncio.sleep(0.05)
