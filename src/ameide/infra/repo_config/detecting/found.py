"""What a detector is asked and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from ameide.infra.repo_config.model import RepoConfig

Read = Callable[[str], Awaitable[bytes | None]]

JUNIT = ".ameide/junit.xml"
"""Where a detected suite writes its report."""


@dataclass(frozen=True)
class Found:
    """A configuration, what of the repository it rests on, and what nobody said and was guessed; sentences."""

    ecosystem: str
    config: RepoConfig
    found: Sequence[str]
    guessed: Sequence[str] = ()
