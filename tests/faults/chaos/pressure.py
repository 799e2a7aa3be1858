"""Continuous load: loads drawn at random, some requests sent twice, no more runs open than the machine can carry."""

from __future__ import annotations

import random
from collections import Counter

import psycopg

from ameide.errors import AmeideError
from tests.faults.rig import by_hand, loads
from tests.faults.rig.client import RigClient
from tests.faults.rig.loads import Load, run_of
from tests.faults.rig.patience import pause
from tests.faults.rig.policies import EXPIRING, GATED, PLAIN, RELEASING
from tests.faults.rig.steps import MOVING

_MOST_OPEN = 8
_LOADS: tuple[tuple[Load, int], ...] = (
    (run_of(PLAIN), 6),
    (run_of(RELEASING), 4),
    (run_of(GATED), 2),
    (run_of(MOVING), 2),
    (run_of(EXPIRING), 1),
    (loads.direct, 6),
    (loads.slow, 2),
    (loads.canceled_work, 1),
    (loads.unclaimed, 1),
    (loads.canceled_run, 1),
    (loads.closed_change, 1),
    (loads.revised, 1),
    (by_hand.done, 2),
    (by_hand.released, 1),
    (by_hand.abandoned, 1),
)


class Pressure:
    """`played` counts loads; `troubles` are errors that no fault explains: the client tries again what it may."""

    def __init__(self, client: RigClient, seed: int) -> None:
        self._client = client
        self._chance = random.Random(seed)
        self._stop = False
        self.played = 0
        self.troubles: Counter[str] = Counter()

    def stop(self) -> None:
        """Begin nothing more; what is begun is brought to its end."""
        self._stop = True

    async def press(self) -> None:
        """Load after load until stopped."""
        choices, weights = zip(*_LOADS, strict=True)
        while not self._stop:
            if await self._open_runs() >= _MOST_OPEN:
                await pause()
                continue
            try:
                await self._chance.choices(choices, weights)[0](self._client)
            except AmeideError as error:
                self.troubles[f"{type(error).__name__}: {error}"] += 1
            self.played += 1

    async def _open_runs(self) -> int:
        query = "SELECT count(*) FROM ameide.aggregate WHERE kind = 'run' AND status = 'OPEN'"
        try:
            [(count,)] = await self._client.rig.sql(query)
        except psycopg.OperationalError:
            return 0
        return int(count)
