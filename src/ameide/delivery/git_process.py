"""Git as a child that does not outlive who runs it.

A push that went on after its executor was killed, or had lost its claim, would act for a claim that nobody holds.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path

from ameide.stopping import kill_child, start_child

# Of util-linux, on every Linux with glibc; without it git ends by itself, later. A function between fork and exec would
# do the same, but may deadlock in a process that has threads.
_SETPRIV = shutil.which("setpriv", path="/usr/bin:/bin:/usr/sbin:/sbin")
_TIED = (_SETPRIV, "--pdeathsig", "KILL") if _SETPRIV else ()


async def run_git(
    *args: str, env: Mapping[str, str], cwd: Path | None = None, stdin: bytes = b""
) -> tuple[int, bytes, bytes]:
    """Exit code, standard output and standard error of one git command with this whole environment.

    Cancelled, it kills git and what git started. Raises `FileNotFoundError` when there is no git on its PATH.
    """
    git = shutil.which("git", path=env["PATH"])
    if git is None:
        raise FileNotFoundError(env["PATH"])
    process = await start_child(
        *_TIED,
        git,
        *args,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(env),
        cwd=cwd,
    )
    try:
        stdout, stderr = await process.communicate(stdin)
    except BaseException:
        await kill_child(process)
        raise
    return process.returncode or 0, stdout, stderr
