"""Crash points: armed by name and count, deadly there and nowhere else."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from ameide import faults
from ameide.errors import InvalidArgument

_PROGRAM = """
import sys
from ameide import faults
faults.arm(sys.argv[1])
for turn in range(3):
    print(turn, flush=True)
    faults.reach("relay.move.before_commit")
"""


def _run(crash_at: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", _PROGRAM, crash_at], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("crash_at", "printed"), [("relay.move.before_commit", "0\n"), ("relay.move.before_commit:3", "0\n1\n2\n")]
)
def test_the_process_ends_at_the_nth_passage(crash_at: str, printed: str) -> None:
    done = _run(crash_at)
    assert done.returncode == -signal.SIGKILL
    assert done.stdout == printed


@pytest.mark.parametrize("crash_at", ["", "relay.move.after_commit", "relay.move.before_commit:4"])
def test_it_lives_on_otherwise(crash_at: str) -> None:
    done = _run(crash_at)
    assert (done.returncode, done.stdout) == (0, "0\n1\n2\n")


@pytest.mark.parametrize("crash_at", ["relay", "relay.move.during", "relay.move.before:0", "Relay.move.before"])
def test_what_names_no_point_is_refused(crash_at: str) -> None:
    with pytest.raises(InvalidArgument, match="AMEIDE_CRASH_AT"):
        faults.arm(crash_at)
