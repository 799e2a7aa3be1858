"""The results as one Markdown table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.protocol import Row

RESULTS = Path(__file__).parent / "results"
_HEAD = (
    "| what | against | ratio | spread | to reach | to aim at | measured | rounds | per item |",
    "|---|---|---|---|---|---|---|---|---|",
)


def stored(names: Sequence[str], folder: Path = RESULTS) -> list[Row]:
    """The rows of the last run of each benchmark, as far as there is one."""
    rows: list[Row] = []
    for name in names:
        file = folder / f"{name}.json"
        if file.exists():
            for row in json.loads(file.read_text(encoding="utf-8"))["rows"]:
                del row["reached"]
                rows.append(Row(**row))
    return rows


def table(rows: Sequence[Row]) -> str:
    """One line a row; a ratio that is not where it was to get is marked, and so are disturbed rounds."""
    return "\n".join([*_HEAD, *(_line(row) for row in rows)])


def _line(row: Row) -> str:
    sign = "≥" if row.better == "high" else "≤"
    mark = "" if row.reached else " (missed)"
    rounds = f"{row.rounds}, {row.disturbed} disturbed" if row.disturbed else str(row.rounds)
    counters = ", ".join(f"{value:g} {name.replace('_', ' ')}" for name, value in row.counters.items())
    cells = (
        row.name,
        row.against,
        f"{row.ratio:.2f}x{mark}",
        f"{row.low:.2f} to {row.high:.2f}",
        f"{sign} {row.reach:g}x" if row.reach else "",
        f"{sign} {row.aim:g}x" if row.aim else "",
        f"{row.a:.4g} against {row.b:.4g} {row.unit}",
        rounds,
        "; ".join(part for part in (counters, row.note) if part),
    )
    return f"| {' | '.join(cells)} |"
