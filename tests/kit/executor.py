"""The executor that is tried: a program that is started, started again, told to leave, and watched from outside."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_TAIL = 3000


@dataclass
class Executor:
    """`command` is a line for `sh`; `environment` is what it gets besides that of whoever runs the kit.

    A program that ends is started again, as a cluster does with one that takes one work and leaves.
    """

    command: str
    environment: Mapping[str, str]
    log: Path
    starts: int = 0
    exit_code: int | None = None
    _leaving: bool = False
    _process: asyncio.subprocess.Process | None = None
    _keeping: asyncio.Task[None] | None = field(default=None, repr=False)

    async def start(self) -> None:
        """Run it until `leave` or `kill`."""
        self._leaving = False
        self._keeping = asyncio.create_task(self._keep())

    async def leave(self, within: float) -> int | None:
        """Send SIGTERM; the exit code, None when it has not ended in time."""
        self._leaving = True
        process, keeping = self._process, self._keeping
        assert process is not None
        assert keeping is not None
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        done, _ = await asyncio.wait([keeping], timeout=within)
        return process.returncode if done else None

    async def kill(self) -> None:
        """End it and what it started, whatever it does."""
        self._leaving = True
        if self._process is not None and self._process.returncode is None:
            below = psutil.Process(self._process.pid).children(recursive=True)
            for process in (*below, psutil.Process(self._process.pid)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        if self._keeping is not None:
            await asyncio.wait([self._keeping])

    def tail(self) -> str:
        """The end of what it printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-_TAIL:] if self.log.exists() else ""

    async def _keep(self) -> None:
        pause = 0.05
        while not self._leaving:
            begun = time.monotonic()
            with self.log.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    *("sh", "-c", f"exec {self.command}"),
                    env={**_own_environment(), **self.environment},
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            self.starts += 1
            self.exit_code = await self._process.wait()
            # One that cannot even start is not started for ever at full speed.
            pause = 0.05 if time.monotonic() - begun > 1 else min(2.0, pause * 2)
            if not self._leaving:
                await asyncio.sleep(pause)


def running(marker: str) -> list[int]:
    """The processes of this machine that have the marker as a word of their command line."""
    found: list[int] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if marker in process.cmdline():
                found.append(process.pid)
    return found


def _own_environment() -> dict[str, str]:
    """Nothing of an installation that whoever runs the kit has."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AMEIDE_", "KAFKA_", "OTEL_"))}
