"""What executors call themselves, for people who read attempts and for who asks whether a queue is served."""

from __future__ import annotations

_ONE_SHOT = "/once"


def one_shot(name: str) -> str:
    """The name of an executor that takes one work and exits."""
    return name + _ONE_SHOT


def comes_back(runner: str) -> bool:
    """Whether this one polls again after its work: a queue that it left is missed."""
    return not runner.endswith(_ONE_SHOT)
