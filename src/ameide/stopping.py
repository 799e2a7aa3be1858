"""How a process is told to end: the first SIGTERM or SIGINT asks it to finish, the second to leave at once.

And how a child is begun so that it can be ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

_ENDING_SECONDS = 5.0
T = TypeVar("T")


class Stop:
    """`asked`: take nothing new and end what was begun. `hurried`: end now."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hurried = asyncio.Event()

    def ask(self) -> None:
        """Ask once; asked again, it is urgent."""
        if self.asked.is_set():
            self.hurried.set()
        self.asked.set()

    def on_signals(self) -> None:
        """Listen to SIGTERM and SIGINT in the running loop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.ask)

    async def ended(self, tasks: Iterable[asyncio.Task[Any]], deadline: float) -> bool:
        """Wait until the tasks have ended; False when the deadline (loop time) or a second signal came first."""
        waiting = [task for task in tasks if not task.done()]
        if not waiting:
            return True
        everything = asyncio.gather(*(_over(task) for task in waiting))
        hurried = asyncio.ensure_future(self.hurried.wait())
        left = max(0.0, deadline - asyncio.get_running_loop().time())
        try:
            await asyncio.wait([everything, hurried], timeout=left, return_when=asyncio.FIRST_COMPLETED)
            return everything.done()
        finally:
            everything.cancel()
            hurried.cancel()


async def unless(stop: asyncio.Event, doing: Coroutine[Any, Any, T]) -> T | None:
    """The result, or None when `stop` was set first; what was being done is cancelled then."""
    task = asyncio.ensure_future(doing)
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
        return await task if task.done() else None
    finally:
        task.cancel()
        stopped.cancel()


async def start_child(*argv: str, **options: Any) -> asyncio.subprocess.Process:
    """`asyncio.create_subprocess_exec` in a session of its own; cancelled meanwhile, it leaves no process behind.

    asyncio by itself, cancelled between fork and its return, kills the program alone and then waits, perhaps for ever,
    until whatever that program started has closed the pipes.
    """
    starting = asyncio.ensure_future(asyncio.create_subprocess_exec(*argv, start_new_session=True, **options))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        while not starting.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([starting])
        if starting.exception() is None:
            await kill_child(starting.result())
        raise


async def kill_child(process: asyncio.subprocess.Process) -> None:
    """Kill a child of `start_child` with all that is still in its session's group, and wait until it is over.

    What it had said and nobody read is lost; whoever reads its pipes has stopped before.
    """
    kill_group(process)
    pipes = [pipe for pipe in (process.stdout, process.stderr) if pipe is not None]
    # asyncio takes it for over when its pipes were read to the end, which it stops by itself while nobody reads them.
    # A program that left the session may hold one open for as long as it likes.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_ENDING_SECONDS):
            await asyncio.gather(process.wait(), *(_emptied(pipe) for pipe in pipes))


def kill_group(process: asyncio.subprocess.Process) -> None:
    """Kill a child of `start_child` with its group, and wait for nothing."""
    # macOS refuses to signal a group whose members are all zombies.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


async def _emptied(pipe: asyncio.StreamReader) -> None:
    while await pipe.read(1 << 16):
        pass


async def _over(task: asyncio.Task[Any]) -> None:
    await asyncio.wait([task])
