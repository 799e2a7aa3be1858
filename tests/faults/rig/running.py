"""How a rig program is run: told to stop, it still ends the engines that it has started."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine

STOPPED = 130


def run(program: Coroutine[None, None, int]) -> int:
    """The exit code of a program; SIGTERM and SIGINT cancel it, and what it holds is let go."""

    async def cancelled_by_signals() -> int:
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        try:
            return await program
        except asyncio.CancelledError:
            return STOPPED

    return asyncio.run(cancelled_by_signals())


def say(line: str) -> None:
    """Progress, beside the table."""
    print(line, file=sys.stderr, flush=True)
