"""Git as a child that does not outlive who runs it, and is not heard beyond a bound.

A push that went on after its executor was killed, or had lost its claim, would act for a claim that nobody holds. And
what git says is mostly what is in a repository, which a few objects may make as long as they like.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ameide.errors import LimitReached
from ameide.stopping import kill_child, kill_group, start_child

OUTPUT_BYTES = 256 << 20
"""Of one command's standard output, where nothing else is said."""

# Of util-linux, on every Linux with glibc; without it git ends by itself, later. A function between fork and exec would
# do the same, but may deadlock in a process that has threads.
_SETPRIV = shutil.which("setpriv", path="/usr/bin:/bin:/usr/sbin:/sbin")
_TIED = (_SETPRIV, "--pdeathsig", "KILL") if _SETPRIV else ()
_CHUNK, _COMPLAINTS = 1 << 16, 1 << 16


@dataclass(frozen=True)
class Said:
    """What a child said: of its standard error the end. `cut` when it said more, for which it was killed."""

    stdout: bytes
    stderr: bytes
    cut: bool


async def run_git(
    *args: str, env: Mapping[str, str], cwd: Path | None = None, stdin: bytes = b"", most: int = OUTPUT_BYTES
) -> tuple[int, bytes, bytes]:
    """Exit code, standard output and the end of standard error of one git command with this whole environment.

    Cancelled, it kills git and what git started. Raises `FileNotFoundError` when there is no git on its PATH, and
    `LimitReached` when it says more than `most` bytes, for which it is killed.
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
        said = await hear(process, stdin, most=most)
    except BaseException:
        await kill_child(process)
        raise
    if said.cut:
        raise LimitReached(f"git said more than {most >> 20} MiB, which is all that is taken", remedy="Ask for less")
    return process.returncode or 0, said.stdout, said.stderr


async def hear(process: asyncio.subprocess.Process, stdin: bytes = b"", *, most: int) -> Said:
    """What a child of `start_child` says until it is over, of its standard output at most so many bytes.

    Cancelled, it leaves the child alone.
    """
    out = asyncio.create_task(_beginning(process, most))
    err = asyncio.create_task(_end(process.stderr))
    tasks = [out, err, asyncio.create_task(_feed(process.stdin, stdin))]
    try:
        await asyncio.wait(tasks)
        await process.wait()
    finally:
        for task in tasks:
            task.cancel()
        # Of two that read one pipe, asyncio refuses the second.
        await asyncio.wait(tasks)
    stdout, cut = out.result()
    return Said(stdout, err.result(), cut)


async def _beginning(process: asyncio.subprocess.Process, most: int) -> tuple[bytes, bool]:
    """Read to the end in any case: a killed program is only over when its pipes were."""
    parts: list[bytes] = []
    room, stdout = most, process.stdout
    while stdout is not None and (data := await stdout.read(_CHUNK)):
        if room > 0:
            parts.append(data[:room])
        room -= len(data)
        if room < 0 and process.returncode is None:
            kill_group(process)
    return b"".join(parts), room < 0


async def _end(stderr: asyncio.StreamReader | None) -> bytes:
    tail = b""
    while stderr is not None and (data := await stderr.read(_CHUNK)):
        tail = (tail + data)[-_COMPLAINTS:]
    return tail


async def _feed(pipe: asyncio.StreamWriter | None, data: bytes) -> None:
    if pipe is None:
        return
    # It need not read.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        pipe.write(data)
        await pipe.drain()
    pipe.close()
