"""A program of the operator's that gets the notice as JSON on its standard input."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

from ameide.delivery.notify.notice import Notice, NotSent
from ameide.secret_shapes import masked
from ameide.stopping import kill_child, start_child

_TIMEOUT = 30.0
_OUTPUT = 2000


class CommandSender:
    """Runs a command without a shell, for 30 s at most; exit code 0 means told. `environment` is all that it gets."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], *, timeout: float = _TIMEOUT) -> None:
        self._argv, self._environment, self._timeout = tuple(argv), dict(environment), timeout

    async def send(self, notice: Notice) -> None:
        """Raises `NotSent` with the end of what it printed."""
        name = self._argv[0]
        environment = {**self._environment, "AMEIDE_NOTICE_ID": notice.id}
        try:
            process = await start_child(
                *self._argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=environment,
            )
        except OSError as error:
            raise NotSent(f"{name}: {error.strerror}; correct AMEIDE_NOTIFY_COMMAND", retry=False) from error
        told = ""
        try:
            async with asyncio.timeout(self._timeout):
                told, _ = await asyncio.gather(_end_of(process.stdout), _write(process.stdin, notice.body))
                code = await process.wait()
        except TimeoutError as error:
            raise NotSent(f"{name} was not done after {self._timeout:g} s and was ended") from error
        finally:
            # Also what it started and left behind.
            await kill_child(process)
        if code:
            raise NotSent(f"{name} ended with exit code {code}: {masked(told).strip()}")


async def _write(stdin: asyncio.StreamWriter | None, data: bytes) -> None:
    assert stdin is not None
    # It need not read.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        stdin.write(data)
        await stdin.drain()
        stdin.close()
        await stdin.wait_closed()


async def _end_of(stdout: asyncio.StreamReader | None) -> str:
    assert stdout is not None
    tail = b""
    while data := await stdout.read(65536):
        tail = (tail + data)[-_OUTPUT:]
    return tail.decode("utf-8", "replace")
