"""`make chaos MINUTES=10 SEED=7`: exits 1 when anything was lost or doubled, or was never answered."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.faults.chaos.run import Chaos
from tests.faults.chaos.schedule import schedule
from tests.faults.rig.installation import rig
from tests.faults.rig.matrix import clients_of
from tests.faults.rig.points import ROWS
from tests.faults.rig.running import run, say
from tests.faults.rig.table import heading

_TWICE = 0.2


async def main(seed: int, minutes: float) -> int:
    """The exit code."""
    folder = Path(tempfile.mkdtemp(prefix="ameide-chaos-"))
    faults = schedule(seed, minutes * 60, [(row.role, row.point) for row in ROWS])
    say(f"{minutes:g} minutes, {len(faults)} faults. The same again: make chaos MINUTES={minutes:g} SEED={seed}")
    async with rig(folder, say) as installation:
        await installation.start_all()
        say(f"The run folder is {folder}.")
        async with clients_of(installation, twice=_TWICE, seed=seed) as client:
            outcome = await Chaos(installation, client, faults, seed, say).play(minutes * 60)
    print(heading())
    for row in outcome.rows:
        print(row)
    print(outcome.summary)
    for line in (*outcome.verdict.lines, *outcome.troubles):
        print(line)
    print("ok" if outcome.ok else "NOT OK")
    return 0 if outcome.ok else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    said = parser.parse_args()
    sys.exit(run(main(said.seed, said.minutes)))
