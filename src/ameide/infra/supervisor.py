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

from ameide.infra.clock import now

logger = logging.getLogger(__name__)

_FIRST_PAUSE, _LAST_PAUSE, _STEADY, _DRAIN = 0.5, 30.0, 60.0, 45.0


@dataclass(frozen=True)
class ChildProcess:
    """One program to keep running. `greeting` is its first line of standard input, which stays open: its end tells the
    child that the supervisor is gone."""

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
        self._stop = asyncio.Event()
        self.pids: dict[str, int] = {}
        self.starts: dict[str, int] = {child.name: 0 for child in children}

    def stop(self) -> None:
        """Drain the children and return from `run`."""
        self._stop.set()

    async def run(self) -> None:
        """Keep every child running until stopped."""
        await asyncio.gather(*(self._keep(child) for child in self._children))

    async def _keep(self, child: ChildProcess) -> None:
        pause = self._first_pause
        while not self._stop.is_set():
            started = now()
            code = await self._run(child)
            if self._stop.is_set():
                return
            pause = self._first_pause if now() - started > _STEADY else min(_LAST_PAUSE, pause * 2)
            logger.error("child died, starting it again", extra={"child": child.name, "exit_code": code, "in": pause})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause * random.uniform(0.75, 1.25))  # noqa: S311 jitter

    async def _run(self, child: ChildProcess) -> int:
        process = await asyncio.create_subprocess_exec(
            *child.argv, stdin=asyncio.subprocess.PIPE, env=dict(child.environment), start_new_session=True
        )
        self.pids[child.name] = process.pid
        self.starts[child.name] += 1
        if process.stdin:
            process.stdin.write(child.greeting + b"\n")
        ended = asyncio.create_task(process.wait())
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait([ended, stopped], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            if not ended.done():
                await self._end(process, ended)
        return process.returncode or 0

    async def _end(self, process: asyncio.subprocess.Process, ended: asyncio.Task[int]) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait([ended], timeout=self._drain)
        if not ended.done():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await ended
