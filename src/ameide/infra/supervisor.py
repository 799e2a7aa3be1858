"""Keeps child processes running.

Restarts one that dies, later and later; ends all of them when told to, politely first.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ameide.errors import Unreachable
from ameide.infra.clock import now
from ameide.stopping import Stop, start_child, unless
from ameide.telemetry.metrics import Readings

logger = logging.getLogger(__name__)

READY = b"ready"
_FIRST_PAUSE, _LAST_PAUSE, _STEADY, _DRAIN = 0.5, 30.0, 60.0, 45.0


@dataclass(frozen=True)
class ChildProcess:
    """One program to keep running. `greeting` is its first line of standard input, which stays open: its end tells the
    child that the supervisor is gone. It says `READY` in a line on its standard output once it works."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    greeting: bytes = b""


class Supervisor:
    """Runs `children` until `stop`; `drain` is the time in seconds that they get to give their work back."""

    def __init__(
        self, children: Sequence[ChildProcess], *, drain: float = _DRAIN, first_pause: float = _FIRST_PAUSE
    ) -> None:
        self._children, self._drain, self._first_pause = children, drain, first_pause
        self._stopping = Stop()
        self._serving: set[str] = set()
        self.pids: dict[str, int] = {}
        self.starts: dict[str, int] = {child.name: 0 for child in children}

    def stop(self) -> None:
        """Drain the children and return from `run`; said twice, kill them."""
        self._stopping.ask()

    async def check(self) -> None:
        """Raises Unreachable while a child does not work."""
        idle = [child.name for child in self._children if child.name not in self._serving]
        if idle:
            raise Unreachable(f"{', '.join(idle)} not serving", remedy="The log says why; it is started again")

    async def readings(self) -> Readings:
        """Which children work, and how often each was started."""
        up = {child.name: float(child.name in self._serving) for child in self._children}
        return {"executor_up": up, "executor_starts": {name: float(count) for name, count in self.starts.items()}}

    async def run(self) -> None:
        """Keep every child running until stopped."""
        await asyncio.gather(*(self._keep(child) for child in self._children))

    async def _keep(self, child: ChildProcess) -> None:
        pause = self._first_pause
        while not self._stopping.asked.is_set():
            started = now()
            code = await self._run(child)
            if self._stopping.asked.is_set():
                return
            pause = self._first_pause if now() - started > _STEADY else min(_LAST_PAUSE, pause * 2)
            logger.error("child died, starting it again", extra={"child": child.name, "exit_code": code, "in": pause})
            await unless(self._stopping.asked, asyncio.sleep(pause * random.uniform(0.75, 1.25)))  # noqa: S311 jitter

    async def _run(self, child: ChildProcess) -> int:
        process = await start_child(
            *child.argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=dict(child.environment),
        )
        self.pids[child.name] = process.pid
        self.starts[child.name] += 1
        if process.stdin:
            process.stdin.write(child.greeting + b"\n")
        ended = asyncio.create_task(process.wait())
        hearing = asyncio.create_task(self._hear(child.name, process))
        stopped = asyncio.create_task(self._stopping.asked.wait())
        try:
            await asyncio.wait([ended, stopped], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            if not ended.done():
                await self._end(process, ended)
            hearing.cancel()
            self._serving.discard(child.name)
        return process.returncode or 0

    async def _hear(self, name: str, process: asyncio.subprocess.Process) -> None:
        assert process.stdout
        async for line in process.stdout:
            if line.strip() == READY:
                self._serving.add(name)

    async def _end(self, process: asyncio.subprocess.Process, ended: asyncio.Task[int]) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        deadline = asyncio.get_running_loop().time() + self._drain
        if not await self._stopping.ended([ended], deadline):
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await ended
