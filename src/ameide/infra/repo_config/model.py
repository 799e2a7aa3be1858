"""The content of `ameide.yaml`, typed. Paths and globs are relative to the repository's root; times are seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ameide.infra.path_rules import matches

Argv = tuple[str, ...]

TEST_FILES = (
    "**/tests/**",
    "**/test/**",
    "**/testing/**",
    "**/__tests__/**",
    "**/testdata/**",
    "**/spec/**",
    "**/test_*.py",
    "**/*_test.py",
    "**/conftest.py",
    "**/*_test.go",
    "**/*.test.*",
    "**/*.spec.*",
    "**/test.*s",
)
"""What counts as a test file where a suite names none."""


@dataclass(frozen=True)
class Generate:
    """Generated code: `run` makes all files of `outputs` from those of `inputs`."""

    inputs: tuple[str, ...]
    run: tuple[Argv, ...]
    outputs: tuple[str, ...]

    def reads(self, path: str) -> bool:
        """Whether the file is an input."""
        return any(matches(pattern, path) for pattern in self.inputs)

    def writes(self, path: str) -> bool:
        """Whether the file is generated."""
        return any(matches(pattern, path) for pattern in self.outputs)


class Output(StrEnum):
    """What a suite prints where it writes no JUnit file: the JSON of `go test` or Jest, the Test Anything Protocol."""

    GO_JSON = "go-json"
    JEST_JSON = "jest-json"
    TAP = "tap"


@dataclass(frozen=True)
class Suite:
    """One test suite: within `timeout`, `run` writes the JUnit files that the path or glob `junit` names, or prints
    `output`.

    `silent_for` bounds the seconds without any output, 0 for no bound.
    """

    name: str
    run: Argv
    junit: str = ""
    timeout: int = 900
    silent_for: int = 0
    output: Output | None = None
    tests: tuple[str, ...] = TEST_FILES

    def is_test(self, path: str) -> bool:
        """Whether a change of the file is a change of tests."""
        return any(matches(pattern, path) for pattern in self.tests)


@dataclass(frozen=True)
class Build:
    """The image of the component. `python_path` become `PYTHONPATH`, behind the vendored requirements."""

    include: tuple[str, ...]
    entrypoint: Argv
    requirements: str = ""
    python_path: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    port: int = 8080

    def includes(self, path: str) -> bool:
        """Whether the file goes into the image."""
        return any(matches(pattern, path) for pattern in self.include)


@dataclass(frozen=True)
class Smoke:
    """What the started image must answer at `path`: any 2xx (``ok``), or one that contains the commit (``commit``)."""

    path: str
    expect: str = "commit"
    timeout: int = 30


@dataclass(frozen=True)
class RepoConfig:
    """A repository's own ways. `detected` tells that there was no `ameide.yaml` and these are the sensible defaults."""

    suites: Mapping[str, Suite]
    setup: tuple[Argv, ...] = ()
    setup_timeout: int = 900
    scaffold: tuple[Argv, ...] = ()
    generate: Generate | None = None
    build: Build | None = None
    smoke: Smoke | None = None
    component: str = ""
    detected: bool = False

    @property
    def command(self) -> str:
        """The command of the default suite, to be shown."""
        return " ".join(self.suites["default"].run) if "default" in self.suites else ""
