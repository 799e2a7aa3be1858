"""A helper process that is asked by lines of JSON: load and peers run apart from what they measure."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

Answer = Callable[[dict[str, Any]], Awaitable[Any]]


class Talker:
    """The asking side; `arguments` go to the module. Secrets are asked, never argued: others see command lines."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._command = [sys.executable, "-m", module, *arguments]

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 24
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), 20)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    @property
    def pid(self) -> int:
        """The process that is asked."""
        return self._process.pid

    async def ask(self, question: dict[str, Any]) -> Any:
        """One question, one answer. Raises RuntimeError when the process has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(self._command[2:])} ended; its error is above")
        return json.loads(line)


async def answering(answer: Answer) -> None:
    """The asked side: answers until its input ends."""
    reader = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    # Libraries print; what they say must not pass for an answer.
    out, sys.stdout = sys.stdout, sys.stderr
    while line := await reader.readline():
        print(json.dumps(await answer(json.loads(line))), file=out, flush=True)
