"""Git as a child that does not outlive who runs it.

A push that went on after its executor was killed, or had lost its claim, would act for a claim that nobody holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


async def run_git(
    *args: str, env: Mapping[str, str], cwd: Path | None = None, stdin: bytes = b""
) -> tuple[int, bytes, bytes]:
    """Exit code, standard output and standard error of one git command with this whole environment.

    Cancelled, it kills git and what git started. Raises `FileNotFoundError` when there is no git.
    """
    process = await asyncio.create_subprocess_exec(
        "git",
        *args,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(env),
        cwd=cwd,
        start_new_session=True,
        preexec_fn=_end_with_the_parent,
    )
    try:
        stdout, stderr = await process.communicate(stdin)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    return process.returncode or 0, stdout, stderr


def _end_with_the_parent() -> None:
    # In the forked child, where no lock may be taken: one call into the kernel. Other systems have none like it.
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
