"""How answers look: JSON for programs, tables and plain lines for people, progress on standard error."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from protobuf import Message
    from protobuf.wkt import Timestamp

    from ameide_core_proto.transformation.work.v1.work_pb import WorkRequest

_COLOURS = {
    "approved": "green",
    "succeeded": "green",
    "healthy": "green",
    "completed": "green",
    "open": "yellow",
    "requested": "yellow",
    "started": "yellow",
    "proposed": "yellow",
    "rejected": "red",
    "failed": "red",
    "unhealthy": "red",
    "canceled": "red",
}


def emit_json(message: Message[Any]) -> None:
    """ProtoJSON of an answer, every field present, so that its shape does not depend on its values."""
    click.echo(json.dumps(json.loads(message.to_json(always_emit_implicit=True)), indent=2, ensure_ascii=False))


def say(text: str) -> None:
    """A line of progress, on standard error: standard output holds the answer alone."""
    click.echo(text, err=True)


def word(name: str) -> str:
    """An enum's name as people write it."""
    return name.lower().replace("_", " ")


def in_line(place: int) -> str:
    """A place in a queue as people say it."""
    end = "th" if place % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{end} in queue"


def step(work: WorkRequest) -> str:
    """A work as people call it: agent work by its role, a merge by whether it pushes."""
    # Imported here: commands that show no work need not wait for the messages.
    from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, WorkKind

    if work.work_kind == WorkKind.AGENT_WORK:
        return "coder" if work.action_kind == ActionKind.PUBLISH else "analyst"
    if work.action_kind == ActionKind.MERGE:
        return "merge" if work.inputs is not None and work.inputs.push else "candidate"
    return word(work.action_kind.name)


def coloured(text: str) -> str:
    """A status in its colour; click drops the colour where there is no terminal."""
    colour = _COLOURS.get(text)
    return click.style(text, fg=colour) if colour else text


_DIGEST = re.compile(r"sha256:([0-9a-f]{12})[0-9a-f]{52}")
_COMMIT = re.compile(r"(?<![0-9a-f])([0-9a-f]{12})[0-9a-f]{28}(?![0-9a-f])")


def brief(text: str) -> str:
    """The first line of a text, with digests and commit ids cut to twelve digits; ids of records stay whole."""
    line = text.split("\n", 1)[0]
    return _COMMIT.sub(r"\1", _DIGEST.sub(r"sha256:\1…", line))


def harmless(text: str) -> str:
    """The text with everything that a terminal would obey shown as what it is."""
    return "".join(
        each if each == "\t" or each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text
    )


def clock(stamp: Timestamp | None) -> str:
    """Local time of day, with the date where it is not today's; empty when unset."""
    if stamp is None:
        return ""
    moment = stamp.to_datetime().astimezone()
    today = datetime.now().astimezone().date()
    return moment.strftime("%H:%M:%S" if moment.date() == today else "%Y-%m-%d %H:%M:%S")


def width() -> int:
    """Columns to fill."""
    return shutil.get_terminal_size((150, 40)).columns


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str = "Nothing here yet.") -> None:
    """Rows under headers, aligned; the last column takes what it needs."""
    lines = [list(row) for row in rows]
    if not lines:
        click.echo(empty)
        return
    plain = [[click.unstyle(cell) for cell in line] for line in lines]
    widths = [max(len(header), *(len(line[n]) for line in plain)) for n, header in enumerate(headers)]
    click.echo("  ".join(h.ljust(w) for h, w in zip(headers, widths, strict=True)).rstrip())
    for line, bare in zip(lines, plain, strict=True):
        cells = [cell + " " * (w - len(text)) for cell, text, w in zip(line, bare, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Names and values, one a line; empty values are left out."""
    shown = [(name, value) for name, value in pairs if value]
    edge = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        click.echo(f"{name.ljust(edge)}  {value}")


def heading(text: str) -> None:
    """A line above a part of a longer answer."""
    click.echo()
    click.echo(click.style(text, bold=True))


def at_a_terminal() -> bool:
    """Whether a person reads the answer and can be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()
