"""`python -m tests.faults.oracle FOLDER` prints what was lost and what was doubled, and exits 1 if anything was."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from tests.faults.oracle.examining import examine
from tests.faults.oracle.settle import PATIENCE_SECONDS


def main() -> int:
    """Judge the folder that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.oracle", description=__doc__)
    parser.add_argument("folder", type=Path, help="the folder with rig.json, acknowledged.jsonl and effects.jsonl")
    parser.add_argument(
        "--patience", type=float, default=PATIENCE_SECONDS, help="seconds to wait for everything to rest"
    )
    given = parser.parse_args()
    verdict = asyncio.run(examine(given.folder, given.patience))
    for line in verdict.lines:
        print(line)
    print(f"lost {len(verdict.lost)}, doubled {len(verdict.doubled)}, unquiet {len(verdict.unquiet)}")
    return 0 if verdict.ok else 1


if __name__ == "__main__":
    sys.exit(main())
