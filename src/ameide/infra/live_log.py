"""What a watcher sees of a running work: the redacted end of its output, and whether it has gone silent."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from pathlib import Path

from ameide.infra.clock import now
from ameide.infra.redaction import MASK, Redactor

_TAIL = 4000
_LINE = 1000
_FILE = 8 << 20
# Of a line that is not shown whole so much more is kept that no secret is cut before it is looked for.
_OVERHANG = 16 << 10
_ENDS = re.compile(rb"\r\n|\n|\r")
_KEY_BEGINS, _KEY_ENDS = re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY"), "-----END "
_KEY_LINES = 200


class LiveLog:
    """Keeps the last 4 KB, redacted line by line, and the first 8 MiB in `file`. `clock` gives seconds."""

    def __init__(self, redactor: Redactor, file: Path, clock: Callable[[], float] = now) -> None:
        self._redactor, self._clock = redactor, clock
        self._file, self._written = file.open("a", encoding="utf-8"), 0
        self._tail = ""
        self._partial = b""
        self._in_key = 0
        self._heard = clock()
        self._spoke = asyncio.Event()

    def line(self, text: str) -> None:
        """A line of the step itself."""
        self._note()
        shown = self._shown(text) + "\n"
        self._tail = (self._tail + shown)[-_TAIL:]
        if self._written < _FILE:
            self._written += self._file.write(shown)

    def output(self, data: bytes) -> None:
        """Some output of a child; a line counts once it is whole, and its beginning is shown."""
        self._note()
        *whole, partial = _ENDS.split(self._partial + data)
        self._partial = partial[: _LINE + _OVERHANG]
        for part in whole[-200:]:
            self.line(part[: _LINE + _OVERHANG].decode("utf-8", "replace"))

    def close(self) -> None:
        """Complete the file."""
        if self._partial:
            self.line(self._partial.decode("utf-8", "replace"))
            self._partial = b""
        self._file.close()

    @property
    def tail(self) -> str:
        """The end of the log, at most 4096 bytes of UTF-8."""
        return self._redactor.text(self._tail).encode()[-4096:].decode("utf-8", "ignore")

    async def silent_until(self, bound: float) -> None:
        """Return once there was no output for `bound` seconds."""
        while (left := bound - (self._clock() - self._heard)) > 0:
            self._spoke.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._spoke.wait()

    def _shown(self, text: str) -> str:
        """The line without secrets. No line of a private key but its first says what it is, so all up to its end go."""
        if self._in_key:
            self._in_key = 0 if _KEY_ENDS in text else self._in_key - 1
            return MASK
        if (begins := _KEY_BEGINS.search(text)) and _KEY_ENDS not in text[begins.end() :]:
            self._in_key = _KEY_LINES
        return self._redactor.presentable(text, _LINE)

    def _note(self) -> None:
        self._heard = self._clock()
        self._spoke.set()
