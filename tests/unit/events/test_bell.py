"""A bell: a waiter that is told to end does, also when it is rung at that very moment."""

from __future__ import annotations

import asyncio

import pytest

from ameide.events.wakeups import Bell


@pytest.mark.parametrize("turns", range(5))
async def test_a_cancelled_wait_ends_though_the_bell_rings(turns: int) -> None:
    bell = Bell()
    waiting = asyncio.create_task(bell.wait(60))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    bell.ring()
    for _ in range(turns):
        await asyncio.sleep(0)
    cancelled = waiting.cancel()
    if cancelled:
        with pytest.raises(asyncio.CancelledError):
            await waiting
    else:
        assert await waiting


async def test_a_ring_between_two_waits_is_not_lost() -> None:
    bell = Bell()
    bell.ring()
    assert await bell.wait(60)
    assert not await bell.wait(0)
