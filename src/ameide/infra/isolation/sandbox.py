"""The port: how one child of a work is put into a sandbox, or by the operator's choice into none."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ameide.infra.steps import Profile, Reach, StepFailed


@dataclass(frozen=True)
class Ask:
    """One child as its step wants it: `env` is its whole environment."""

    argv: Sequence[str]
    cwd: Path
    env: Mapping[str, str]
    profile: Profile
    reach: Reach


class Enclosed(Protocol):
    """A child that is ready to be started in its sandbox."""

    @property
    def argv(self) -> Sequence[str]:
        """What is really started; the child's own program comes of it."""
        ...

    @property
    def env(self) -> Mapping[str, str]:
        """The environment of what is really started."""
        ...

    @property
    def descriptors(self) -> Sequence[int]:
        """What is really started inherits these; nobody else keeps them open."""
        ...

    @property
    def confined(self) -> bool:
        """Whether the child has a process namespace of its own."""
        ...

    def failure(self, exit_code: int, tail: str) -> StepFailed | None:
        """Why the child never ran, by how the start ended; None when it did run."""
        ...


class Sandbox(Protocol):
    """Encloses the children of one workspace."""

    @property
    def name(self) -> str:
        """As evidence and the log say it."""
        ...

    def enclose(self, ask: Ask) -> AbstractAsyncContextManager[Enclosed]:
        """A sandbox for one child, with its network served until the context ends."""
        ...


@dataclass(frozen=True)
class _Open:
    argv: Sequence[str]
    env: Mapping[str, str]
    descriptors: Sequence[int] = ()
    confined: bool = False

    def failure(self, exit_code: int, tail: str) -> StepFailed | None:
        """What is started is the child itself, and the warden tells when it cannot be."""
        del exit_code, tail
        return None


class Unconfined:
    """No sandbox: the child sees the machine as its user does. Only where the operator set AMEIDE_SANDBOX=none."""

    name = "none"

    @asynccontextmanager
    async def enclose(self, ask: Ask) -> AsyncGenerator[Enclosed]:
        """The child as it is."""
        yield _Open(ask.argv, ask.env)
