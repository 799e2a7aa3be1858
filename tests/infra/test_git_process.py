"""Git that is cancelled, as a step is when its lease is lost: nothing of it goes on."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import psutil
import pytest

from ameide.delivery.git_process import run_git
from ameide.errors import LimitReached

ENVIRONMENT = {"PATH": os.defpath}


async def test_what_git_started_ends_when_git_is_cancelled(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    running = asyncio.create_task(run_git("-c", f"alias.held=!cat {pipe}", "held", env=ENVIRONMENT, cwd=tmp_path))
    # Opens once `cat` reads.
    writing = await asyncio.to_thread(os.open, pipe, os.O_WRONLY)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    with pytest.raises(BrokenPipeError):
        os.write(writing, b"anybody there?")
    os.close(writing)


@pytest.mark.parametrize("turns", range(8))
async def test_git_that_is_cancelled_while_it_is_being_started(tmp_path: Path, turns: int) -> None:
    marked = {**ENVIRONMENT, "CANCELLED_AT": str(tmp_path)}
    running = asyncio.create_task(run_git("-c", "alias.held=!sleep 300", "held", env=marked, cwd=tmp_path))
    for _ in range(turns):
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running], timeout=30)
    assert running.cancelled()
    assert not [process for process in psutil.Process().children(recursive=True) if _marked(process, str(tmp_path))]


async def test_git_that_is_cancelled_while_it_talks_without_end(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    script = f"!echo >{pipe}; exec yes"
    running = asyncio.create_task(run_git("-c", f"alias.held={script}", "held", env=ENVIRONMENT, cwd=tmp_path))
    await asyncio.to_thread(pipe.read_bytes)
    running.cancel()
    await asyncio.wait([running], timeout=30)
    assert running.cancelled()


async def test_the_answer_of_git(tmp_path: Path) -> None:
    code, out, err = await run_git("hash-object", "--stdin", env=ENVIRONMENT, cwd=tmp_path, stdin=b"hello\n")
    assert (code, out.strip(), err) == (0, b"ce013625030ba8dba906f756967f9e9ca394464a", b"")


def _marked(process: psutil.Process, mark: str) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.environ().get("CANCELLED_AT") == mark
    except psutil.NoSuchProcess:
        return False


async def test_git_that_says_more_than_is_taken_is_killed(tmp_path: Path) -> None:
    held = f"alias.held=!echo $$ >{tmp_path}/pid; yes"
    with pytest.raises(LimitReached, match="more than 2 MiB"):
        await run_git("-c", held, "held", env=ENVIRONMENT, cwd=tmp_path, most=2 << 20)
    pid = int((tmp_path / "pid").read_text())
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    said = "head -c 2097152 /dev/zero"
    code, out, _ = await run_git("-c", f"alias.held=!{said}", "held", env=ENVIRONMENT, cwd=tmp_path, most=2 << 20)
    assert (code, len(out)) == (0, 2 << 20)


async def test_of_a_long_complaint_the_end_is_kept(tmp_path: Path) -> None:
    script = "alias.held=!head -c 10000000 /dev/zero >&2; echo the reason >&2; exit 3"
    code, out, err = await run_git("-c", script, "held", env=ENVIRONMENT, cwd=tmp_path)
    assert (code, out) == (3, b"")
    assert len(err) <= 1 << 16
    assert err.endswith(b"the reason\n")


async def test_git_need_not_read_what_it_is_given(tmp_path: Path) -> None:
    code, out, _ = await run_git("version", env=ENVIRONMENT, cwd=tmp_path, stdin=b"x" * (4 << 20))
    assert code == 0
    assert out.startswith(b"git version")
