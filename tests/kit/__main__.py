"""`python -m tests.kit COMMAND`: try an executor from outside, on engines that are made for it and removed again."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from ameide.contracts.topics import queue_named
from ameide.engine.engine import Engine
from ameide.storage.migrate import ensure_roles, migrate
from tests.conftest import SpineDatabase, role_passwords
from tests.kit.domain import serving
from tests.kit.rules import RULES
from tests.kit.running import Candidate, judge
from tests.kit.scenarios import SCENARIOS


def main() -> int:
    """0 when the executor keeps all rules, 1 when it breaks one."""
    parser = argparse.ArgumentParser(prog="make kit", description=__doc__)
    parser.add_argument("command", help="line for sh that runs the executor; AMEIDE_ADDRESS, _TOKEN and _QUEUE are set")
    parser.add_argument("--slots", type=int, default=1, help="works that it runs at a time")
    parser.add_argument("--queue", action="append", help="queue that it is given; `verify` is always one of them")
    parser.add_argument("--only", action="append", choices=list(SCENARIOS), help="only this scenario; repeat for more")
    given = parser.parse_args()
    queues = dict.fromkeys(queue_named(name, "--queue") for name in ("verify", *(given.queue or ())))
    candidate = Candidate(given.command, tuple(queues), given.slots)
    folder = Path(tempfile.mkdtemp(prefix="ameide-kit-"))
    folder.chmod(0o711)
    cache = Path(os.environ.get("AMEIDE_CACHE_DIR") or Path.home() / ".cache" / "ameide")
    engine = Engine(folder / "engine", cache, say=_say)
    # What was started ends with the kit, however that is ended.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(128 + signal.SIGTERM))
    try:
        spine = SpineDatabase(engine.start_postgres())
        return asyncio.run(_judge(spine, candidate, folder, tuple(given.only or SCENARIOS)))
    finally:
        engine.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def _judge(spine: SpineDatabase, candidate: Candidate, folder: Path, scenarios: tuple[str, ...]) -> int:
    await ensure_roles(spine.address.conninfo, role_passwords())
    await migrate(spine.address.conninfo)
    _say(f"Trying {candidate.command!r} on {len(RULES)} rules; it takes about a minute.")
    async with serving(spine, folder) as domain:
        verdict = await judge(domain, candidate, folder / "trial", 1, scenarios, _say)
    print(verdict)
    return 1 if verdict.broken else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
