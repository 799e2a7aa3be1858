"""An engine of its own for one test, on a fresh state folder."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ameide.engine.engine import Engine


@dataclass
class Said:
    """The lines an engine said."""

    lines: list[str] = field(default_factory=list[str])

    def __call__(self, line: str) -> None:
        self.lines.append(line)

    def mentions(self, words: str) -> bool:
        """Whether one line contains the words."""
        return any(words in line for line in self.lines)


@pytest.fixture
def said() -> Said:
    """What ``own_engine`` said."""
    return Said()


@pytest.fixture
def own_engine(state_dir: Path, cache_dir: Path, said: Said) -> Iterator[Engine]:
    """Stopped at first; stopped and purged at the end."""
    engine = Engine(state_dir, cache_dir, said)
    yield engine
    engine.stop()
    engine.purge()
