"""The command line of a benchmark, and of all: runs it on a cluster of its own, prints its table, keeps its JSON."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.installation import Cluster, cluster
from benchmarks.protocol import FULL, QUICK, Plan, Row, say
from benchmarks.report import RESULTS, table

# In the order in which they run; those that need Temporal stand last, so that its server disturbs nobody before.
ALL = (
    "request_work",
    "relay",
    "kafka",
    "work_queue",
    "pick_up",
    "rebuild",
    "delegated_loop",
    "loaded_loop",
    "starting",
    "memory",
    "waiting_runs",
)
NEED_TEMPORAL = frozenset({"delegated_loop", "loaded_loop", "waiting_runs", "memory"})


def main(*names: str) -> None:
    """Run benchmarks by name, all of them when none is named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", help=f"of {' '.join(ALL)}; all when none is named")
    parser.add_argument("--quick", action="store_true", help="one short round each: whether it runs, not how fast")
    parser.add_argument("--seconds", type=float, default=FULL.seconds, help="length of a block")
    parser.add_argument("--rounds", type=int, default=FULL.rounds)
    asked = parser.parse_args()
    plan = QUICK if asked.quick else Plan(asked.seconds, asked.rounds)
    chosen = tuple(asked.names) or names or ALL
    if unknown := sorted(set(chosen) - set(ALL)):
        parser.error(f"unknown: {' '.join(unknown)}; there are {' '.join(ALL)}")
    # Ended early, it takes its engines and their folder with it.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1))
    print(table(asyncio.run(_run(chosen, plan))))


async def _run(names: Sequence[str], plan: Plan) -> list[Row]:
    rows: list[Row] = []
    plain = [name for name in names if name not in NEED_TEMPORAL]
    rest = [name for name in names if name in NEED_TEMPORAL]
    for group, temporal in ((plain, False), (rest, True)):
        if not group:
            continue
        with cluster(temporal=temporal) as here:
            for name in group:
                rows += await _one(name, here, plan)
    return rows


async def _one(name: str, here: Cluster, plan: Plan) -> list[Row]:
    say(f"{name}: {plan.rounds} rounds of blocks of {plan.seconds:g} s")
    begun = time.monotonic()
    found: list[Row] = await importlib.import_module(f"benchmarks.{name}").bench(here, plan)
    say(f"{name}: done after {time.monotonic() - begun:.0f} s")
    keep(name, found, plan)
    return found


def keep(name: str, rows: Sequence[Row], plan: Plan, folder: Path = RESULTS) -> None:
    """Write the rows as JSON, beside how they were measured."""
    folder.mkdir(exist_ok=True)
    body = {
        "benchmark": name,
        "seconds": plan.seconds,
        "rounds": plan.rounds,
        "rows": [asdict(row) | {"reached": row.reached} for row in rows],
    }
    (folder / f"{name}.json").write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")
