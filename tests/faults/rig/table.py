"""The table that `make faults` and `make chaos` print."""

from __future__ import annotations

from dataclasses import dataclass

_WIDTHS = (9, 45, 8, 8, 4, 7, 0)


@dataclass(frozen=True)
class Result:
    """What became of one row: `lost` and `doubled` count what the oracle found, `trouble` says what else was wrong."""

    role: str
    point: str
    old_pid: int
    new_pid: int
    lost: int
    doubled: int
    trouble: str = ""

    @property
    def ok(self) -> bool:
        """Whether the process died where it should, another one took over, and nothing is amiss."""
        replaced = 0 < self.old_pid != self.new_pid > 0
        return replaced and not (self.lost or self.doubled or self.trouble)

    def __str__(self) -> str:
        verdict = "ok" if self.ok else f"NOT OK {self.trouble}".strip()
        cells = (self.role, self.point, self.old_pid or "-", self.new_pid or "-", self.lost, self.doubled, verdict)
        return _line(*cells)


def heading() -> str:
    """The first line."""
    return _line("role", "point", "old pid", "new pid", "lost", "doubled", "ok")


def _line(*cells: object) -> str:
    return " | ".join(str(cell).ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True)).rstrip()
