"""Runs the commands that `ameide.yaml` names, one after the other, until one fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ameide.infra.steps import Profile
from ameide.infra.tools.repository import Checkout

TIMEOUT = 900
_TAIL = 1500


@dataclass(frozen=True)
class CommandFailed:
    """The command that ended a sequence; `number` counts from 1, `tail` is the end of its output."""

    number: int
    argv: tuple[str, ...]
    exit_code: int
    tail: str
    timed_out: bool

    def __str__(self) -> str:
        how = "ran out of time" if self.timed_out else f"exited {self.exit_code}"
        return f"`{' '.join(self.argv)}` {how}: {self.tail.strip()[-_TAIL:]}"


async def run_all(
    checkout: Checkout,
    commands: Sequence[tuple[str, ...]],
    *,
    profile: Profile,
    timeout: float = TIMEOUT,
    env: Mapping[str, str] | None = None,
) -> CommandFailed | None:
    """None when all of them exited 0. Raises `StepFailed(TOOL_FAILED)` for a program that isn't there."""
    for number, argv in enumerate(commands, 1):
        checkout.log(f"$ {' '.join(argv)}")
        environment = {**checkout.environment, **(env or {})}
        result = await checkout.run(argv, cwd=checkout.root, env=environment, timeout=timeout, profile=profile)
        if result.exit_code or result.timed_out:
            return CommandFailed(number, argv, result.exit_code, result.output_tail, result.timed_out)
    return None
