"""Asked once, asked twice, and a bound on how long that takes."""

from __future__ import annotations

import asyncio

from ameide.stopping import Stop, unless


def soon() -> float:
    """A deadline that passes at once."""
    return asyncio.get_running_loop().time()


def later() -> float:
    """A deadline that a test does not wait for."""
    return asyncio.get_running_loop().time() + 60


async def test_what_has_begun_may_end() -> None:
    stop, finish = Stop(), asyncio.Event()
    task = asyncio.create_task(finish.wait())
    stop.ask()
    ended = asyncio.create_task(stop.ended([task], later()))
    finish.set()
    assert await ended
    assert not stop.hurried.is_set()


async def test_a_second_signal_waits_for_nothing() -> None:
    stop = Stop()
    task = asyncio.create_task(asyncio.Event().wait())
    stop.ask()
    ended = asyncio.create_task(stop.ended([task], later()))
    stop.ask()
    assert not await ended
    assert not task.done()
    task.cancel()


async def test_the_bound_waits_for_nothing() -> None:
    task = asyncio.create_task(asyncio.Event().wait())
    assert not await Stop().ended([task], soon())
    task.cancel()


async def test_a_failure_is_an_end_and_stays_with_its_task() -> None:
    async def fail() -> None:
        raise ValueError

    task = asyncio.create_task(fail())
    assert await Stop().ended([task], later())
    assert isinstance(task.exception(), ValueError)


async def test_unless_gives_the_result_or_cancels() -> None:
    stop = asyncio.Event()

    async def answer() -> int:
        return 7

    assert await unless(stop, answer()) == 7
    stop.set()
    assert await unless(stop, asyncio.Event().wait()) is None
