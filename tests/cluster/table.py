"""The table at the end: what was asked for, what KEDA made of it, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

HEAD = ("WORK", "INTENTS", "JOBS CREATED", "JOBS SUCCEEDED", "OUTCOMES", "")


@dataclass(frozen=True)
class Row:
    """One kind of work; `outcomes` are counted by how they ended."""

    work: str
    intents: int
    created: int
    succeeded: int
    outcomes: Counter[str]

    @property
    def agrees(self) -> bool:
        """Whether each invitation had one Job, which succeeded, and one outcome."""
        return self.intents == self.created == self.succeeded == self.outcomes.total()

    @property
    def cells(self) -> tuple[str, ...]:
        """As they are printed."""
        ended = ", ".join(f"{count} {name}" for name, count in sorted(self.outcomes.items()))
        numbers = (self.intents, self.created, self.succeeded, self.outcomes.total())
        return (self.work, *(str(number) for number in numbers), ended)


def printed(rows: Sequence[Row]) -> str:
    """The rows under their heads."""
    lines = [HEAD, *(row.cells for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
