"""The protocol of every comparison: blocks A, B, B, A on the same cluster; the median of the rounds' ratios."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

Block = Callable[[float], Awaitable[float]]
"""Runs for about so many seconds and returns its figure: items a second, or seconds."""

# Two blocks of the same side that differ by more than this tell of a disturbed round.
DISTURBED = 0.15


@dataclass(frozen=True, slots=True)
class Plan:
    """How long a comparison takes. `scale` shrinks what is prepared beforehand: rows, runs, jobs."""

    seconds: float = 5.0
    rounds: int = 5
    scale: float = 1.0

    def count(self, full: int, least: int = 1) -> int:
        """So many items of a preparation that has `full` of them."""
        return max(least, int(full * self.scale))


FULL = Plan()
QUICK = Plan(seconds=0.4, rounds=1, scale=0.01)


@dataclass(slots=True)
class Row:
    """One line of the table: a ratio with its spread, against what, and what was to be reached.

    `better` says whether the ratio should be high or low. `a` and `b` are the medians of the two sides in `unit`;
    `counters` are per item and out of the noise's reach.
    """

    name: str
    against: str
    ratio: float
    low: float
    high: float
    reach: float
    aim: float
    better: str
    a: float
    b: float
    unit: str
    rounds: int
    disturbed: int
    counters: Mapping[str, float] = field(default_factory=dict[str, float])
    note: str = ""

    @property
    def reached(self) -> bool:
        """Whether the ratio is where it was to get first."""
        return self.ratio >= self.reach if self.better == "high" else self.ratio <= self.reach


async def alternate(sides: Mapping[str, Block], plan: Plan) -> dict[str, list[tuple[float, float]]]:
    """The figures of each side, two a round: the sides in order and then in reverse, as often as planned."""
    names = list(sides)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for number in range(plan.rounds):
        first = {name: await sides[name](plan.seconds) for name in names}
        second = {name: await sides[name](plan.seconds) for name in reversed(names)}
        for name in names:
            found[name].append((first[name], second[name]))
        shown = "  ".join(f"{name} {first[name]:.4g} {second[name]:.4g}" for name in names)
        say(f"  round {number + 1} of {plan.rounds}: {shown}")
    return found


def compare(
    name: str,
    against: str,
    a: Sequence[tuple[float, float]],
    b: Sequence[tuple[float, float]],
    *,
    reach: float,
    aim: float,
    better: str = "high",
    unit: str = "/s",
    counters: Mapping[str, float] | None = None,
    note: str = "",
) -> Row:
    """The row of a comparison from both sides' figures, round by round."""
    ratios = [sum(one) / sum(other) for one, other in zip(a, b, strict=True)]
    disturbed = sum(1 for first, second in a if abs(first - second) > DISTURBED * max(first, second))
    return Row(
        name=name,
        against=against,
        ratio=statistics.median(ratios),
        low=min(ratios),
        high=max(ratios),
        reach=reach,
        aim=aim,
        better=better,
        a=statistics.median(sum(pair) / 2 for pair in a),
        b=statistics.median(sum(pair) / 2 for pair in b),
        unit=unit,
        rounds=len(ratios),
        disturbed=disturbed,
        counters=counters or {},
        note=note,
    )


async def paced(rate: float, seconds: float, act: Callable[[], Awaitable[float]]) -> list[float]:
    """Start `act` at a steady rate, whether or not earlier ones have ended; the seconds that each says it took."""
    tasks: list[asyncio.Task[float]] = []
    begun = time.perf_counter()
    for number in range(max(1, int(rate * seconds))):
        await asyncio.sleep(max(0.0, begun + number / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(_taken(act)))
    return list(await asyncio.gather(*tasks))


async def saturated(clients: int, seconds: float, act: Callable[[], Awaitable[object]]) -> float:
    """So many clients that do one after the other; items a second."""
    deadline = time.perf_counter() + seconds
    done = 0

    async def client() -> None:
        nonlocal done
        while time.perf_counter() < deadline:
            await act()
            done += 1

    begun = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return done / (time.perf_counter() - begun)


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many percent do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def say(line: str) -> None:
    """Progress, apart from the table."""
    print(line, file=sys.stderr, flush=True)


async def _taken(act: Callable[[], Awaitable[float]]) -> float:
    return await act()
