"""Git that is cancelled, as a step is when its lease is lost: nothing of it goes on."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from ameide.delivery.git_process import run_git

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


async def test_the_answer_of_git(tmp_path: Path) -> None:
    code, out, err = await run_git("hash-object", "--stdin", env=ENVIRONMENT, cwd=tmp_path, stdin=b"hello\n")
    assert (code, out.strip(), err) == (0, b"ce013625030ba8dba906f756967f9e9ca394464a", b"")
