"""The timeline of a run in the columns of the seed: what the Process decided, what Events say, what Infra did."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Sequence

import click

from ameide.cli.output import brief, clock, width
from ameide_core_proto.transformation.governance.v1.query_service_pb import TimelineColumn, TimelineRow

COLUMNS = (TimelineColumn.PROCESS, TimelineColumn.EVENTS, TimelineColumn.INFRA)
_TITLES = ("Process", "Events", "Infra")
_COLOURS = {TimelineColumn.PROCESS: "cyan", TimelineColumn.EVENTS: None, TimelineColumn.INFRA: "magenta"}
_QUEUE = re.compile(r"transformation\.work\.queue\.([a-z_.]+)\.v1")
_TIME = 8
_GAP = 2
_NARROWEST = 24


def print_table(rows: Sequence[TimelineRow]) -> None:
    """The whole timeline under its headings."""
    each = _column_width()
    head = " " * (_TIME + _GAP) + "".join(title.ljust(each + _GAP) for title in _TITLES)
    click.echo(click.style(head.rstrip(), bold=True))
    print_rows(rows)


def print_rows(rows: Sequence[TimelineRow], *, as_json_lines: bool = False) -> None:
    """Rows, each in its column, with the time on the left; or each as one line of JSON."""
    each = _column_width()
    for row in rows:
        if as_json_lines:
            click.echo(json.dumps(json.loads(row.to_json(always_emit_implicit=True)), ensure_ascii=False))
            continue
        place = COLUMNS.index(row.column) if row.column in COLUMNS else 1
        text = _QUEUE.sub(r"\1", brief(f"{row.name}  {row.text}".rstrip()))
        margin = " " * (place * (each + _GAP))
        for n, line in enumerate(textwrap.wrap(text, each, break_on_hyphens=False) or [row.name]):
            time = clock(row.at)[-_TIME:] if n == 0 else ""
            click.echo(time.ljust(_TIME + _GAP) + margin + click.style(line, fg=_COLOURS.get(row.column)))


def _column_width() -> int:
    return max(_NARROWEST, (width() - _TIME - 3 * _GAP) // 3)
