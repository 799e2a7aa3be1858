"""One chaos run: faults by schedule under load, then calm, then the oracle."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from tests.faults.chaos.engines import Engines
from tests.faults.chaos.keeping import Keeper
from tests.faults.chaos.pressure import Pressure
from tests.faults.chaos.schedule import Fault
from tests.faults.oracle import Verdict, examine
from tests.faults.rig.client import RigClient
from tests.faults.rig.installation import EXECUTORS, ROLES, Rig
from tests.faults.rig.quiet import under_way, until_quiet
from tests.faults.rig.table import Result

CALM_WITHIN = 180.0
_PROGRESS = 5.0
_PRESSERS = 3
Say = Callable[[str], None]


@dataclass
class Outcome:
    """What a run came to: a row for each role and engine that had faults, the counts, and what else was wrong."""

    verdict: Verdict
    rows: list[Result]
    summary: str
    troubles: list[str] = field(default_factory=list[str])

    @property
    def ok(self) -> bool:
        """Nothing lost, nothing doubled, nothing that the faults do not explain."""
        return self.verdict.ok and not self.troubles and all(row.ok for row in self.rows)


class Chaos:
    """Plays a schedule on a running installation."""

    def __init__(self, rig: Rig, client: RigClient, faults: list[Fault], seed: int, say: Say) -> None:
        self._rig, self._client, self._faults, self._say = rig, client, faults, say
        self._keeper, self._engines = Keeper(rig), Engines(rig.engine)
        self._pressure = Pressure(client, seed)
        self._done: Counter[tuple[str, str]] = Counter()

    async def play(self, length: float) -> Outcome:
        """`length` seconds of faults, then the verdict."""
        keeping = [asyncio.create_task(self._keeper.keep(role)) for role in (*ROLES, *EXECUTORS)]
        telling = asyncio.create_task(self._tell())
        pressing = [asyncio.create_task(self._pressure.press()) for _ in range(_PRESSERS)]
        try:
            await self._go_wrong(length)
            self._say("No more faults; waiting until everything is quiet.")
            self._pressure.stop()
            await self._keeper.all_well()
            _, unanswered = await asyncio.wait(pressing, timeout=CALM_WITHIN)
            await until_quiet(self._rig.settings.database_url_admin, CALM_WITHIN)
            verdict = await examine(self._rig.folder.root)
            return self._outcome(verdict, len(unanswered))
        finally:
            for task in (telling, *keeping, *pressing):
                task.cancel()
            for task in (telling, *keeping, *pressing):
                with suppress(asyncio.CancelledError):
                    await task

    async def _go_wrong(self, length: float) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        async with asyncio.TaskGroup() as going:
            for fault in self._faults:
                await asyncio.sleep(max(0.0, begun + fault.at - loop.time()))
                going.create_task(self._strike(fault))
            await asyncio.sleep(max(0.0, begun + length - loop.time()))

    async def _strike(self, fault: Fault) -> None:
        self._done[fault.role, fault.kind] += 1
        match fault.kind:
            case "kill":
                self._keeper.kill(fault.role)
            case "crash":
                self._keeper.kill(fault.role, next_at=fault.point)
            case "stop":
                child = self._rig.members[fault.role]
                child.send(signal.SIGSTOP)
                await asyncio.sleep(fault.seconds)
                child.send(signal.SIGCONT)
            case "postgres" | "temporal":
                await self._engines.away(fault.kind, fault.seconds)

    async def _tell(self) -> None:
        begun = time.monotonic()
        while True:
            await asyncio.sleep(_PROGRESS)
            faults = Counter(kind for _, kind in self._done.elements())
            done = ", ".join(f"{kind} {count}" for kind, count in sorted(faults.items()))
            asked, effects = len(self._rig.folder.acknowledged()), len(self._rig.folder.effects_done())
            left = await under_way(self._rig.settings.database_url_admin) or "nothing"
            self._say(
                f"{time.monotonic() - begun:4.0f} s: {asked} acknowledged, {effects} effects; {done}; under way: {left}"
            )

    def _outcome(self, verdict: Verdict, unanswered: int) -> Outcome:
        lost, doubled = len(verdict.lost), len(verdict.doubled)
        rows: list[Result] = []
        for role in (*ROLES, *EXECUTORS):
            if self._keeper.killed[role]:
                told = f"killed {self._keeper.killed[role]} ({self._keeper.crashed[role]} at a point)"
                told += f", stopped {self._done[role, 'stop']}"
                told += f", left {len(self._keeper.left[role])}" if self._keeper.left[role] else ""
                pids = self._keeper.last_pid[role], self._rig.members[role].pid
                rows.append(Result(role, told, *pids, lost, doubled))
        for name, pids in sorted(self._engines.pids.items()):
            rows.append(Result(name, f"ended at once {self._done[name, name]}", *pids, lost, doubled))
        troubles = [f"the client was told: {error} ({count} times)" for error, count in self._pressure.troubles.items()]
        troubles += [f"two answers to one request: {said}" for said in self._client.contradictions]
        if unanswered:
            troubles.append(f"{unanswered} loads were not answered within {CALM_WITHIN:g} s of calm")
        return Outcome(verdict, rows, self._summary(), troubles)

    def _summary(self) -> str:
        noted, effects = self._rig.folder.acknowledged(), self._rig.folder.effects_done()
        works = {effect.work_request_id for effect in effects}
        kinds = ", ".join(f"{count} {kind}s" for kind, count in sorted(Counter(one.kind for one in noted).items()))
        kills = sum(self._keeper.killed.values())
        return (
            f"{len(noted)} requests acknowledged ({kinds}), {self._client.retries} repeated; {len(works)} works done in"
            f" {len(effects)} attempts; {kills} kills, {sum(self._done.values())} faults, {self._pressure.played} loads"
        )
