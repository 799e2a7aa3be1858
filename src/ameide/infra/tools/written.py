"""Tests as their source says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class WrittenTest:
    """A test as its source says: how many assertions it makes, and how often it says that it may be skipped or fail.

    `text` is its whole syntax, without comments and layout.
    """

    assertions: int
    skips: int
    text: str = ""


@dataclass(frozen=True)
class Written:
    """The tests of a file by name, and everything in it that is neither a test nor an import."""

    tests: Mapping[str, WrittenTest] = field(default_factory=dict[str, WrittenTest])
    foundations: frozenset[str] | set[str] = frozenset()
