"""Asked once, asked twice, and a bound on how long that takes; children that are ended whatever they do."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from ameide import stopping
from ameide.stopping import Stop, kill_child, start_child, unless


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


async def test_a_child_is_over_though_nobody_reads_what_it_says() -> None:
    pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
    child = await start_child("sh", "-c", "yes >&2 & yes", **pipes)
    assert child.stdout is not None
    # It has filled its pipe and waits, and so does whoever listens for its end.
    await child.stdout.readexactly(1 << 20)
    async with asyncio.timeout(30):
        await kill_child(child)
    assert child.returncode == -signal.SIGKILL


async def test_a_program_that_left_and_holds_the_pipe_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stopping, "_ENDING_SECONDS", 0.2)
    script = "setsid sh -c 'echo $$; exec sleep 300' & wait"
    child = await start_child("sh", "-c", script, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    left = int(await child.stdout.readline())
    try:
        async with asyncio.timeout(30):
            await kill_child(child)
    finally:
        os.kill(left, signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
