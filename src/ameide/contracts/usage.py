"""What works used, added up and compared number by number; whatever a later schema counts is counted too."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ameide_core_proto.transformation.work.v1.work_pb import Budget, Usage


def added(usages: Iterable[Usage]) -> Usage:
    """All of them together, with the model of the last one that names any."""
    return _joined(usages, lambda one, other: one + other)


def highest(*usages: Usage) -> Usage:
    """The highest of each number: a count that only grows was at least this much."""
    return _joined(usages, max)


def tokens_of(usage: Usage) -> int:
    """What a budget of tokens counts: input and output together."""
    return usage.input_tokens + usage.output_tokens


def spent(usage: Usage) -> Budget:
    """The same in the units of a budget."""
    return Budget(max_tokens=tokens_of(usage), max_cost_micros=usage.cost_micros)


def _joined(usages: Iterable[Usage], join: Callable[[int, int], int]) -> Usage:
    joined = Usage()
    for usage in usages:
        for member in usage:
            value = usage[member]
            joined[member] = join(joined[member], value) if isinstance(value, int) else value
    return joined
