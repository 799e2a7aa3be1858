"""`make faults`: the whole matrix, or the rows whose point contains an argument. Exits 1 when one is not ok."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.faults.oracle import examine
from tests.faults.rig.installation import rig
from tests.faults.rig.matrix import clients_of, play
from tests.faults.rig.points import ROWS
from tests.faults.rig.running import run, say
from tests.faults.rig.table import heading


async def main(wanted: list[str]) -> int:
    """The exit code."""
    begun = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="ameide-faults-"))
    failed = played = 0
    async with rig(folder, say) as installation:
        await installation.start_all()
        say(f"The run folder is {folder}.")
        chosen = [row for row in ROWS if not wanted or any(word in row.point for word in wanted)]
        print(heading(), flush=True)
        async with clients_of(installation) as client:
            async for result in play(installation, client, chosen, lambda: examine(folder)):
                print(result, flush=True)
                played += 1
                failed += not result.ok
    print(f"{played} points, {failed} not ok, in {time.monotonic() - begun:.0f} s")
    return 1 if failed or not played else 0


if __name__ == "__main__":
    sys.exit(run(main(sys.argv[1:])))
