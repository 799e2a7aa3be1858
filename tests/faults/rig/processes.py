"""The rig's side of the nursery: processes that are started, seen to be ready, and seen to die."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.rig.patience import until

ROOT = Path(__file__).parents[3]


@dataclass
class Child:
    """One process. `status` is as `waitpid` gave it, None while it lives."""

    name: str
    pid: int
    log: Path
    ready_file: Path
    status: int | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self.status is None

    @property
    def killed(self) -> bool:
        """Whether SIGKILL ended it."""
        return self.status is not None and os.WIFSIGNALED(self.status) and os.WTERMSIG(self.status) == signal.SIGKILL

    @property
    def ready(self) -> bool:
        """Whether it has said that it works."""
        with suppress(OSError, ValueError):
            return int(self.ready_file.read_text(encoding="ascii")) == self.pid
        return False

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self.send(signal.SIGKILL)
        await self.ended.wait()

    async def until_ready(self, within: float) -> None:
        """Wait until it works or has ended. Raises TimeoutError."""
        await until(lambda: self.ready or not self.alive, f"{self.name} to be ready", within)

    def tail(self, lines: int = 12) -> str:
        """The end of its log."""
        with suppress(OSError):
            return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
        return ""


class Nursery:
    """Forks the processes of one installation; see `tests.faults.rig.nursery`."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self._process, self._folder = process, folder
        self._children: dict[int, Child] = {}
        self._born: asyncio.Queue[int] = asyncio.Queue()
        self._one_at_a_time = asyncio.Lock()

    async def start(self, name: str, argv: Sequence[str], environment: Mapping[str, str]) -> Child:
        """Fork a process; its output is appended to `<name>.log`."""
        log, ready = self._folder / f"{name}.log", self._folder / f"{name}.ready"
        ready.unlink(missing_ok=True)
        argv = [*argv, "--ready-file", str(ready)]
        order = {"name": name, "argv": argv, "environment": dict(environment), "log": str(log)}
        assert self._process.stdin is not None
        async with self._one_at_a_time:
            self._process.stdin.write((json.dumps(order) + "\n").encode())
            await self._process.stdin.drain()
            child = Child(name, await self._born.get(), log, ready)
            self._children[child.pid] = child
        return child

    async def listen(self) -> None:
        """Hear what becomes of the processes, until the nursery ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told = json.loads(line)
            if "status" not in told:
                self._born.put_nowait(told["pid"])
                continue
            # It may have ended before `start` came to know it.
            await until(lambda pid=told["pid"]: pid in self._children, "a process to be known", 10)
            child = self._children.pop(told["pid"])
            child.status = told["status"]
            child.ended.set()


@asynccontextmanager
async def nursery(folder: Path) -> AsyncGenerator[Nursery]:
    """A nursery that keeps logs in `folder`; leaving it kills every process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.faults.rig.nursery",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        # What is sent to our whole group must not end it before the processes that it started.
        start_new_session=True,
    )
    made = Nursery(process, folder)
    listening = asyncio.create_task(made.listen())
    try:
        yield made
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
        await listening
