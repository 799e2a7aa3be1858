"""``python -m tests.cluster [--keep]``: build nothing, start everything, check, print the table, end everything."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from ameide import config
from ameide.engine.errors import InstallError
from tests.cluster.checks import CHECKS, Story
from tests.cluster.scene import scene
from tests.cluster.table import printed


def main(arguments: list[str]) -> int:
    """Exit code 0 when all holds, 1 when something does not or is missing, 130 when interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave logs and data behind also when all holds")
    keep = parser.parse_args(arguments).keep
    folder = Path(tempfile.mkdtemp(prefix="ameide-cluster-"))
    # PostgreSQL runs as another user when we are root.
    folder.chmod(0o711)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    began = time.monotonic()
    code = 1
    try:
        code = _check(folder)
    except KeyboardInterrupt:
        code = 130
        print("Interrupted; everything is ended.", flush=True)
    except (AssertionError, InstallError) as error:
        print(f"Nothing could be checked: {error}", file=sys.stderr)
    finally:
        if code == 1 or keep:
            print(f"Logs: {folder}/cluster/logs, {folder}/ameide/control.log, {folder}/kubelet/pods", flush=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{'All holds' if code == 0 else 'Not all holds'} after {time.monotonic() - began:.0f} s.", flush=True)
    return code


def _check(folder: Path) -> int:
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {line}", flush=True)

    passed = 0
    with scene(folder, config.read().cache_dir, say) as made:
        story = Story(made)
        for check in CHECKS:
            name = check.__name__.replace("_", " ")
            try:
                say(f"ok  {name}: {check(story)}")
            except Exception as error:
                said = f"{type(error).__name__}: " if not isinstance(error, AssertionError) else ""
                say(f"NO  {name}: {said}{error}")
                break
            passed += 1
        if story.rows:
            print(f"\n{printed(story.rows)}\n", flush=True)
        say("Ending everything.")
    print(f"{passed} passed, {len(CHECKS) - passed} failed", flush=True)
    return 0 if passed == len(CHECKS) else 1


def _interrupt(number: int, frame: FrameType | None) -> None:
    # Once is enough: what ends everything must not be interrupted.
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
