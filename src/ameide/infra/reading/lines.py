"""Lines of a file by their numbers, of the bytes that git keeps."""

from __future__ import annotations

import re

from ameide.errors import InvalidArgument, LimitReached, NotFound
from ameide.infra.reading.limits import ReadingLimits
from ameide.infra.reading.paths import Entry

# Where git looks for a NUL, too.
_BINARY = 8000
_LFS = b"version https://git-lfs.github.com/spec/v1\n"
_LFS_SIZE = re.compile(rb"^size (\d{1,18})$", re.MULTILINE)


def lines_of(entry: Entry, data: bytes, first: int, last: int, limits: ReadingLimits) -> tuple[str, int]:
    """The lines from `first` to `last` (0: the end) or to where a limit is reached, and the number of the last one.

    Bytes that are no UTF-8 are replaced. Raises `NotFound` beyond the end, `InvalidArgument` for what is no text,
    `LimitReached` for a first line that is too long by itself.
    """
    if data.startswith(_LFS) and (size := _LFS_SIZE.search(data)):
        raise InvalidArgument(
            f"{entry.path} is kept in Git LFS ({int(size[1])} bytes); the repository has a pointer to it alone",
            field="path",
        )
    if b"\0" in data[:_BINARY]:
        raise InvalidArgument(f"{entry.path} is a binary file of {entry.size} bytes", field="path")
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    if first > len(lines):
        raise NotFound(f"{entry.path} has {len(lines)} lines")
    end = min(last or len(lines), len(lines), first - 1 + limits.lines)
    kept: list[bytes] = []
    room = limits.answer_bytes
    for line in lines[first - 1 : end]:
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    if not kept:
        raise LimitReached(
            f"line {first} of {entry.path} has {len(lines[first - 1])} bytes", remedy="Read on from the next line"
        )
    return b"\n".join(kept).decode("utf-8", "replace"), first + len(kept) - 1
