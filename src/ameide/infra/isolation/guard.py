"""Watches what a child takes while it runs, and says when it is too much: output, processes, memory, disk.

Bounds of the kernel are set where they fit: on processes and on the size of a file. Memory is looked at instead of
bounded by address space, which would break Go, Java and Node; control groups would need a machine that lets us have
one. The children are also the first that the kernel ends when memory runs out.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ameide.infra.clock import now
from ameide.infra.settings import Isolation
from ameide.infra.steps import StepFailed
from ameide.infra.warden import descendants
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode, Finding, FindingClass, WhereToFix

_LOOK = 0.25
_WALK_EVERY = 15.0
_MIB = 1 << 20
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Exceeded:
    """A bound that a child passed: which one, and in words."""

    what: str
    said: str
    setting: str

    def failure(self) -> StepFailed:
        """What the one who acts next is told."""
        finding = Finding(
            class_=FindingClass.POLICY_VIOLATION,
            id=f"limit:{self.what}",
            what_failed=self.said,
            why_it_matters="What runs beside it on the machine needs its share, and an attempt has to end.",
            where_to_fix=WhereToFix.IMPLEMENTATION,
            fix_steps=[f"Take less, or have the operator raise {self.setting}."],
        )
        return StepFailed(
            FailureCode.POLICY_VIOLATION,
            f"{self.said} All its processes were ended; the operator can raise {self.setting}.",
            findings=[finding],
        )


class Guard:
    """One child's. `exceeded` is the first bound that it passed; `passed` is set then."""

    def __init__(self, bounds: Isolation, folder: Path) -> None:
        self._bounds, self._folder = bounds, folder
        self._output = 0
        self._free = self._walked = 0.0
        self.exceeded: Exceeded | None = None
        self.passed = asyncio.Event()

    def output(self, count: int) -> None:
        """The child printed that many bytes more."""
        self._output += count
        if self._output > self._bounds.output_mb * _MIB:
            self._end("output", f"It printed more than {self._bounds.output_mb} MiB.", "AMEIDE_CHILD_OUTPUT_MB")

    async def watch(self, warden: int) -> None:
        """Look at all that lives below the warden, and at the workspace, until cancelled."""
        while True:
            family = await asyncio.to_thread(descendants, warden)
            # A bomb comes and goes at its bound, so that we seldom see it quite there.
            if len(family) >= self._bounds.processes * 3 // 4:
                self._end(
                    "processes",
                    f"It had {len(family)} processes at once; {self._bounds.processes} are the most there can be.",
                    "AMEIDE_CHILD_PROCESSES",
                )
            if resident(family) > self._bounds.memory_mb * _MIB and shared_out(family) > self._bounds.memory_mb * _MIB:
                self._end("memory", f"It used more than {self._bounds.memory_mb} MiB.", "AMEIDE_CHILD_MEMORY_MB")
            if self._worth_a_walk() and await asyncio.to_thread(used, self._folder) > self._bounds.disk_mb * _MIB:
                self._end(
                    "disk",
                    f"It wrote more than {self._bounds.disk_mb} MiB to its folders, or nested them too deep to tell.",
                    "AMEIDE_WORK_DISK_MB",
                )
            await asyncio.sleep(_LOOK)

    def _worth_a_walk(self) -> bool:
        """Adding up a workspace takes a while, so it waits for a sign: less room on the disk, or some time."""
        free = shutil.disk_usage(self._folder).free / _MIB
        if now() - self._walked < _WALK_EVERY and self._free - free < self._bounds.disk_mb / 8:
            return False
        self._free, self._walked = free, now()
        return True

    def _end(self, what: str, said: str, setting: str) -> None:
        self.exceeded = self.exceeded or Exceeded(what, said, setting)
        self.passed.set()


def resident(pids: Iterable[int]) -> int:
    """Bytes in memory of all these processes; what several share counts for each."""
    total = 0
    for pid in pids:
        with suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/statm", "rb") as file:
            total += int(file.read().split()[1]) * _PAGE
    return total


def shared_out(pids: Iterable[int]) -> int:
    """The same with what is shared counted once; slow, since the kernel walks their pages."""
    total = 0
    for pid in pids:
        with suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            total += int(file.read().partition(b"\nPss:")[2].split()[0]) << 10
    return total


def used(folder: Path) -> int:
    """Bytes on disk below a folder; links are not followed. What lies too deep to be seen counts as without end."""
    total, pending = 0, [str(folder)]
    while pending:
        path = pending.pop()
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return sys.maxsize
            continue
        try:
            with suppress(OSError), os.scandir(descriptor) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(f"{path}/{entry.name}")
                    else:
                        with suppress(OSError):
                            total += entry.stat(follow_symlinks=False).st_blocks * 512
        finally:
            os.close(descriptor)
    return total
