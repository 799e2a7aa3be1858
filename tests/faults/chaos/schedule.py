"""What will go wrong and when: drawn from a seed, so that a run can be repeated."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["kill", "stop", "crash", "postgres", "temporal"]
_WEIGHTS: dict[Kind, int] = {"kill": 8, "stop": 6, "crash": 10, "postgres": 1, "temporal": 1}
# Seconds: between two faults on average, at most stopped, at most away.
_BETWEEN, _STOPPED, _AWAY = 2.5, 6.0, 3.0
# Passages of a point before the process dies there.
_PASSAGES = 6


@dataclass(frozen=True)
class Fault:
    """`at` is seconds from the beginning; `seconds` how long a process is stopped or an engine away."""

    at: float
    kind: Kind
    role: str
    seconds: float = 0.0
    point: str = ""


def schedule(seed: int, length: float, points: Sequence[tuple[str, str]]) -> list[Fault]:
    """The faults of a run of `length` seconds; `points` are the crash points as (role, point)."""
    chance = random.Random(seed)
    roles = sorted({role for role, _ in points})
    faults: list[Fault] = []
    at = 0.0
    while (at := at + chance.expovariate(1 / _BETWEEN)) < length:
        kind = chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        match kind:
            case "kill":
                faults.append(Fault(at, kind, chance.choice(roles)))
            case "stop":
                faults.append(Fault(at, kind, chance.choice(roles), chance.uniform(0.1, _STOPPED)))
            case "crash":
                role, point = chance.choice(points)
                faults.append(Fault(at, kind, role, point=f"{point}:{chance.randint(1, _PASSAGES)}"))
            case "postgres" | "temporal":
                faults.append(Fault(at, kind, kind, chance.uniform(0.0, _AWAY)))
    return faults
