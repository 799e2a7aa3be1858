"""What `git grep -z` said, as spans of lines; and what it is better not given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ameide.infra.reading.limits import ReadingLimits
from ameide.infra.reading.paths import Entry, nameable

_MOST_EXCLUDED = 500
_BETWEEN = b"--\n"


@dataclass(slots=True)
class Span:
    """Lines of a file that follow each other, from number `first`."""

    path: str
    first: int
    lines: list[str] = field(default_factory=list[str])


def excluded(listed: Iterable[Entry], limits: ReadingLimits) -> list[str]:
    """Pathspecs that leave out the largest files: git would load each as a whole."""
    large = sorted((one for one in listed if one.size > limits.file_bytes), key=lambda one: -one.size)
    return [f":(top,exclude,literal){one.path}" for one in large[:_MOST_EXCLUDED]]


def found_lines(said: bytes, commit_sha: str, text: str, limits: ReadingLimits) -> tuple[list[Span], bool]:
    """The spans with lines that hold the text, and whether there are more of them than the limits admit.

    A line that is too long for an answer, and a file whose name cannot be told, are left out, which counts as more.
    """
    spans: list[Span] = []
    more = False
    hits, room, wanted = 0, limits.answer_bytes, text.casefold()
    for path, number, line in _told(said, commit_sha):
        if not nameable(path) or len(line) > limits.line_bytes:
            more = True
            continue
        shown = line.decode("utf-8", "replace")
        hits += wanted in shown.casefold()
        room -= len(line) + 1
        if hits > limits.hits or room < 0:
            more = True
            break
        last = spans[-1] if spans else None
        if last is None or last.path != path or number != last.first + len(last.lines):
            last = Span(path, number)
            spans.append(last)
        last.lines.append(shown)
    return [span for span in spans if any(wanted in line.casefold() for line in span.lines)], more


def _told(said: bytes, commit_sha: str) -> Iterator[tuple[str, int, bytes]]:
    """Path, number and bytes of each line. Names may hold anything but NUL, lines anything but a line break."""
    prefix = f"{commit_sha}:".encode()
    place = 0
    while place < len(said):
        if said.startswith(_BETWEEN, place):
            place += len(_BETWEEN)
        name_ends = said.find(b"\0", place)
        number_ends = said.find(b"\0", name_ends + 1)
        line_ends = said.find(b"\n", number_ends + 1)
        # Output that was cut ends anywhere.
        if min(name_ends, number_ends, line_ends) < 0 or not said.startswith(prefix, place):
            return
        number = said[name_ends + 1 : number_ends]
        path = said[place + len(prefix) : name_ends].decode("utf-8", "surrogateescape")
        yield path, int(number), said[number_ends + 1 : line_ends]
        place = line_ends + 1
