"""Keeps every role running: whatever ends is started again, as an operator's supervisor would."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter, defaultdict

from tests.faults.rig.installation import PATIENCE, Rig
from tests.faults.rig.patience import pause


class Keeper:
    """`killed` counts deaths by SIGKILL by role, `crashed` those of them at a crash point; `left` are other ends."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._next: dict[str, str] = {}
        self._armed: dict[str, int] = {}
        self._told_to_die: set[int] = set()
        self.killed: Counter[str] = Counter()
        self.crashed: Counter[str] = Counter()
        self.left: defaultdict[str, list[int]] = defaultdict(list)
        self.last_pid: dict[str, int] = {}

    async def keep(self, role: str) -> None:
        """Start the process of a role again whenever it has ended, until cancelled."""
        while True:
            child = self._rig.members[role]
            await child.ended.wait()
            self.last_pid[role] = child.pid
            if child.killed:
                self.killed[role] += 1
                self.crashed[role] += child.pid not in self._told_to_die
            else:
                self.left[role].append(child.status or 0)
                await pause()
            crash_at = self._next.pop(role, "")
            started = await self._rig.start(role, crash_at=crash_at, wait=False)
            if crash_at:
                self._armed[role] = started.pid

    def kill(self, role: str, *, next_at: str = "") -> None:
        """Kill the process of a role; the next one kills itself at `next_at`."""
        self._next[role] = next_at
        child = self._rig.members[role]
        self._told_to_die.add(child.pid)
        child.send(signal.SIGKILL)

    async def all_well(self) -> None:
        """Replace what still waits for its crash point, and wait until every role works."""
        for role, pid in self._armed.items():
            if self._rig.members[role].pid == pid:
                self.kill(role)
        async with asyncio.timeout(PATIENCE):
            while not all(child.alive and child.ready for child in self._rig.members.values()):
                await pause()
