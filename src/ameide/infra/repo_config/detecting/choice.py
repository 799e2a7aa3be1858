"""Asks every ecosystem in turn; the first that finds tests is taken."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from ameide.infra.repo_config.detecting import golang, maven, node, python
from ameide.infra.repo_config.detecting.found import Found, Read
from ameide.infra.repo_config.load import ConfigError

Detector = Callable[[Sequence[str], Read], Awaitable[Found | None]]

# A package.json often only serves the tools of a project in another language, so it is asked last.
DETECTORS: tuple[Detector, ...] = (python.detect, golang.detect, maven.detect, node.detect)


async def detect(paths: Sequence[str], read: Read) -> Found | None:
    """What the repository at the root of `paths` says; None for nothing known.

    Raises `ConfigError` when something is known, but cannot be run without an `ameide.yaml`; it says why.
    """
    answers: list[Found] = []
    refused: list[ConfigError] = []
    for detector in DETECTORS:
        try:
            answer = await detector(paths, read)
        except ConfigError as error:
            refused.append(error)
        else:
            answers += [answer] if answer else []
    if not answers:
        if refused:
            raise refused[0]
        return None
    first, *others = answers
    left_out = [
        f"The tests of {other.ecosystem} are left out; `{other.config.command}` would run them." for other in others
    ]
    return replace(first, guessed=[*first.guessed, *left_out])
