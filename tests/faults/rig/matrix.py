"""The matrix: at every crash point the process kills itself under load, another one takes over, the oracle judges."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import groupby, islice

from tests.faults.oracle import Verdict
from tests.faults.rig.client import RigClient
from tests.faults.rig.deciding import decide_gates
from tests.faults.rig.installation import PATIENCE, Rig
from tests.faults.rig.points import Row
from tests.faults.rig.policies import NAMES, repository
from tests.faults.rig.quiet import until_quiet
from tests.faults.rig.table import Result

TOGETHER = {"worker": 12, "verifier": 4}
"""Rows that are judged together: what a killed worker or executor had in hand comes back after seconds of time-out."""
_REACH_WITHIN = 30.0
_TRIES = 3
Examine = Callable[[], Awaitable[Verdict]]


@asynccontextmanager
async def clients_of(rig: Rig, *, twice: float = 0.0, seed: int = 0) -> AsyncGenerator[RigClient]:
    """A client whose repositories are registered and whose people decide, on a running installation."""
    async with RigClient(rig, twice=twice, chance=random.Random(seed)) as client:
        for name in NAMES:
            await client.say(client.by("owner").governance.register_repository, repository(name))
        deciding = asyncio.create_task(decide_gates(client))
        try:
            yield client
        finally:
            deciding.cancel()
            with suppress(asyncio.CancelledError):
                await deciding


async def play(rig: Rig, client: RigClient, rows: Sequence[Row], examine: Examine) -> AsyncGenerator[Result]:
    """Play the rows in order and judge them, some together; a result each, with what was not found before."""
    known: set[str] = set()
    for group in _groups(rows):
        died = [(row, *await crash(rig, client, row)) for row in group]
        await until_quiet(rig.settings.database_url_admin, PATIENCE)
        verdict = await examine()
        lost, doubled = ([line for line in lines if line not in known] for lines in (verdict.lost, verdict.doubled))
        known.update(lost, doubled)
        amiss = "; ".join([*lost, *doubled, *(f"still under way: {line}" for line in verdict.unquiet)])
        for row, old, new, trouble in died:
            yield Result(row.role, row.point, old, new, len(lost), len(doubled), trouble or amiss)


async def crash(rig: Rig, client: RigClient, row: Row) -> tuple[int, int, str]:
    """One row: the pid that died there, the pid that took over, and what went wrong; a pid is 0 when there is none."""
    child = await rig.restart(row.role, crash_at=row.point)
    loading: list[asyncio.Task[None]] = []
    for _ in range(_TRIES):
        loading.append(asyncio.create_task(_load(row, client)))
        with suppress(TimeoutError):
            await asyncio.wait_for(child.ended.wait(), _REACH_WITHIN)
            break
    died = child.killed
    if child.alive:
        await child.kill()
    taken_over = await rig.start(row.role)
    try:
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*loading)
    except TimeoutError:
        return child.pid, taken_over.pid, "the client was not answered"
    return (child.pid if died else 0), taken_over.pid, "" if died else "never reached"


async def _load(row: Row, client: RigClient) -> None:
    await row.load(client)


def _groups(rows: Sequence[Row]) -> Iterator[list[Row]]:
    for role, of_role in groupby(rows, lambda row: row.role):
        while group := list(islice(of_role, TOGETHER.get(role, 1))):
            yield group
