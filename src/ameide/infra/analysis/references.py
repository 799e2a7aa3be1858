"""Files and lines that an answer refers to, looked for at the commit that it is about.

What an agent says of a repository is worth as much as the places that it names. A place that is not there is said.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Iterator, Set
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from operator import itemgetter
from posixpath import normpath, splitext
from typing import Protocol

MOST = 200
"""So many references are looked for; what comes after them is not."""

_LINES = re.compile(
    r"(?<![\w/:.@#+-])(?P<path>[\w.][\w./@+-]*?)"
    r"(?:#L(?P<first>\d{1,7})(?:-L?(?P<last>\d{1,7}))?|:(?P<from>\d{1,7})(?:-(?P<to>\d{1,7}))?)(?!\w|\.\d)",
)
_QUOTED = re.compile(r"`(?P<path>[\w.][\w./@+-]*/[\w.@+-]*\.\w{1,10})`")


class Files(Protocol):
    """The files of one commit: their paths, and how many lines one has, None when it is no text or too large."""

    @property
    def paths(self) -> Collection[str]: ...

    async def lines(self, path: str) -> int | None: ...


@dataclass(frozen=True)
class Reference:
    """One place that was named. `first` is None where no lines were; `problem` is empty when the place is there."""

    path: str
    first: int | None = None
    last: int = 0
    problem: str = ""

    @property
    def text(self) -> str:
        """As it is written: ``path#L3-L7``."""
        if self.first is None:
            return self.path
        return f"{self.path}#L{self.first}" + (f"-L{self.last}" if self.last != self.first else "")


async def checked(answer: str, files: Files) -> list[Reference]:
    """Each of the first `MOST` places that the answer names, in its order, each once, with what is wrong with it."""
    # Answers and commits may be large, and an executor's heartbeats share the loop.
    paths, named = await asyncio.to_thread(_looked_through, answer, files)
    return [Reference(one.path, one.first, one.last, await _problem(one, paths, files)) for one in named]


def named_in(answer: str, paths: Set[str]) -> Iterator[Reference]:
    """What reads like a place in a repository with these paths; an address or a time of day does not. Each once."""
    endings = {splitext(path)[1] for path in paths} - {""}
    seen: set[Reference] = set()
    for _, named in merge(_with_lines(answer, paths, endings), _in_quotes(answer), key=itemgetter(0)):
        if named not in seen:
            seen.add(named)
            yield named


def _looked_through(answer: str, files: Files) -> tuple[Set[str], list[Reference]]:
    paths = frozenset(files.paths)
    return paths, list(islice(named_in(answer, paths), MOST))


def _with_lines(answer: str, paths: Set[str], endings: Set[str]) -> Iterator[tuple[int, Reference]]:
    for match in _LINES.finditer(answer):
        path = match["path"]
        surely = match["first"] is not None or path in paths
        if surely or "/" in path or splitext(path)[1] in endings:
            first = int(match["first"] or match["from"])
            last = int(match["last"] or match["to"] or first)
            yield match.start(), Reference(normpath(path), first, last)


def _in_quotes(answer: str) -> Iterator[tuple[int, Reference]]:
    for match in _QUOTED.finditer(answer):
        yield match.start(), Reference(normpath(match["path"]))


async def _problem(named: Reference, paths: Set[str], files: Files) -> str:
    if named.path not in paths:
        return "there is no such file at this commit"
    if named.first is None:
        return ""
    if named.first < 1:
        return "lines are counted from 1"
    count = await files.lines(named.path)
    if count is None:
        return "its lines cannot be counted: it is no text, or too large"
    if named.last < named.first:
        return "its lines are named backwards"
    return "" if named.last <= count else f"the file has {count} lines"
