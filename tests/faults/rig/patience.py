"""Waiting for a condition that nobody announces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_LOOK = 0.02
_BETWEEN = 0.1


async def until(condition: Callable[[], bool], what: str, within: float) -> None:
    """Look until the condition holds. Raises TimeoutError naming what was waited for, after `within` seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while not condition():
        if loop.time() > deadline:
            raise TimeoutError(f"waited {within:g} s for {what}")
        await asyncio.sleep(_LOOK)


async def pause() -> None:
    """Let a tenth of a second go by between two questions that need an answer over the wire."""
    await asyncio.sleep(_BETWEEN)
