"""`make faults`: the whole matrix, or the rows whose point contains an argument. Exits 1 when one is not ok.

It is played in two installations, the rows of Kafka in one whose facts and invitations go by Kafka.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ameide import config
from tests.engines.kafka import broker_in
from tests.faults.oracle import examine
from tests.faults.rig.installation import by_kafka, rig
from tests.faults.rig.matrix import clients_of, play
from tests.faults.rig.points import ROWS, Row
from tests.faults.rig.running import run, say
from tests.faults.rig.table import Result, heading


async def main(wanted: list[str]) -> int:
    """The exit code."""
    begun = time.monotonic()
    chosen = [row for row in ROWS if not wanted or any(word in row.point for word in wanted)]
    results: list[Result] = []
    print(heading(), flush=True)
    if plain := [row for row in chosen if not row.by_kafka]:
        results += await _played(plain)
    if carried := [row for row in chosen if row.by_kafka]:
        with broker_in(Path(tempfile.mkdtemp(prefix="ameide-faults-kafka-")), config.read().cache_dir) as broker:
            results += await _played(carried, **by_kafka(broker))
    failed = sum(not result.ok for result in results)
    print(f"{len(results)} points, {failed} not ok, in {time.monotonic() - begun:.0f} s")
    return 1 if failed or not results else 0


async def _played(rows: Sequence[Row], **carriers: Any) -> list[Result]:
    folder = Path(tempfile.mkdtemp(prefix="ameide-faults-"))
    results: list[Result] = []
    async with rig(folder, say, **carriers) as installation:
        await installation.start_all()
        say(f"The run folder is {folder}.")
        async with clients_of(installation) as client:
            async for result in play(installation, client, rows, lambda: examine(folder)):
                print(result, flush=True)
                results.append(result)
    return results


if __name__ == "__main__":
    sys.exit(run(main(sys.argv[1:])))
