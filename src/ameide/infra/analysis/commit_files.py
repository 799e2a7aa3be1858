"""The plain files of a commit, read through git's plumbing: no checkout, no filter, nothing of the repository runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ameide.infra.git import Git, GitFailed

LARGEST = 2 << 20
"""Bytes of a file above which it is counted and not read."""

_IN_ALL = 64 << 20
_TOGETHER = 8 << 20
_TEXT_PROBE = 8000


@dataclass(frozen=True)
class Entry:
    """One file: its blob, and its size in bytes."""

    path: str
    blob: str
    size: int


@dataclass
class CommitFiles:
    """The files at a commit, by path. Reading stops at 64 MiB in all; `unread` counts what was not read for that."""

    git: Git
    entries: dict[str, Entry]
    links: list[str] = field(default_factory=list[str])
    submodules: list[str] = field(default_factory=list[str])
    unread: int = 0
    _read: int = 0
    _kept: dict[str, bytes | None] = field(default_factory=dict[str, "bytes | None"])

    @classmethod
    async def of(cls, git: Git, commit_sha: str) -> CommitFiles:
        """List them. Raises `GitFailed`."""
        entries: dict[str, Entry] = {}
        links: list[str] = []
        submodules: list[str] = []
        for line in await git.entries("ls-tree", "-r", "-l", "-z", "--full-tree", commit_sha):
            about, _, path = line.partition("\t")
            mode, _kind, blob, size = about.split()
            if mode.startswith("100"):
                entries[path] = Entry(path, blob, int(size))
            else:
                (submodules if mode == "160000" else links).append(path)
        return cls(git, entries, links, submodules)

    @property
    def paths(self) -> Sequence[str]:
        """Sorted."""
        return self._sorted

    @cached_property
    def _sorted(self) -> Sequence[str]:
        return sorted(self.entries)

    async def text(self, path: str) -> str | None:
        """What the file says; None when there is none, or it is no text, or too large to be read."""
        await self.load([path])
        data = self._kept.get(path)
        return data.decode("utf-8", "replace") if data is not None else None

    async def lines(self, path: str) -> int | None:
        """How many lines the file has, None when it is not read."""
        await self.load([path])
        data = self._kept.get(path)
        return None if data is None else line_count(data)

    async def load(self, paths: Sequence[str]) -> None:
        """Read these files at once, as far as the bounds allow. Raises `GitFailed`."""
        wanted = [self.entries[path] for path in paths if path in self.entries and path not in self._kept]
        batch: list[Entry] = []
        together = 0
        for entry in wanted:
            if entry.size > LARGEST or self._read + entry.size > _IN_ALL:
                self._kept[entry.path] = None
                self.unread += 1
                continue
            self._read += entry.size
            batch.append(entry)
            together += entry.size
            if together >= _TOGETHER:
                await self._load(batch)
                batch, together = [], 0
        if batch:
            await self._load(batch)

    async def _load(self, batch: Sequence[Entry]) -> None:
        asked = "".join(f"{entry.blob}\n" for entry in batch).encode()
        answer = (await self.git.git("cat-file", "--batch", stdin=asked)).stdout
        at = 0
        for entry in batch:
            end = answer.index(b"\n", at)
            about = answer[at:end].split()
            if len(about) != 3:
                raise GitFailed(f"the contents of {entry.path} are not in the repository")
            size = int(about[2])
            data = answer[end + 1 : end + 1 + size]
            at = end + 2 + size
            self._kept[entry.path] = None if b"\0" in data[:_TEXT_PROBE] else data


def line_count(data: bytes) -> int:
    """Lines as editors count them: a last one without a line break is one."""
    return data.count(b"\n") + (1 if data and not data.endswith(b"\n") else 0)
