"""What a Temporal server must know before workers start: our namespace and our search attributes."""

import subprocess
import sys
from collections.abc import Callable, Sequence

from ameide.engine.errors import StartError

NAMESPACE = "ameide"
SEARCH_ATTRIBUTES = ("AmeideTenant", "AmeideChange", "AmeidePhase", "AmeideRepository")
"""Keyword search attributes of every run (contracts 6: prefix ``Ameide``, at most 10)."""

Run = Callable[[Sequence[str]], tuple[int, str]]
"""Runs ``python -m`` with these arguments to its end; gives the exit code and what it printed."""


def run_apart(arguments: Sequence[str]) -> tuple[int, str]:
    """In a Python of its own, which loads Temporal's SDK first."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout or done.stderr


def register_apart(address: str, namespace: str, search_attributes: Sequence[str], run: Run = run_apart) -> None:
    """Register what is missing, by the program `ameide.engine.registering`. Raises ``StartError`` with what it said."""
    code, said = run(["ameide.engine.registering", address, namespace, *search_attributes])
    if code:
        raise StartError(said.strip())
