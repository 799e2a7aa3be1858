"""Compares quoted lines with the bytes that they are cited from."""

from __future__ import annotations

from collections.abc import Sequence

_GAP = frozenset({"…", "...", "[…]", "[...]"})


def as_they_are(quoted: Sequence[str], text: str) -> list[str] | None:
    """The quoted lines as they stand in the text; None when they do not, in this order and next to each other.

    Space at the ends of a line does not matter, for what is shown are the lines of the text. A line of dots alone
    leaves some out.
    """
    lines = text.splitlines()
    found: list[str] = []
    at = 0
    for number, part in enumerate(_parts(quoted)):
        place = _place([line.strip() for line in lines[at:]], part)
        if place is None:
            return None
        if number:
            found.append("…")
        found += lines[at + place : at + place + len(part)]
        at += place + len(part)
    return found or None


def _parts(quoted: Sequence[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for line in quoted:
        if line.strip() in _GAP:
            parts.append([])
        else:
            parts[-1].append(line.strip())
    trimmed = [_trimmed(part) for part in parts]
    return [part for part in trimmed if part]


def _trimmed(part: list[str]) -> list[str]:
    """Without empty lines at its ends: one of them alone would be found anywhere."""
    while part and not part[0]:
        part = part[1:]
    while part and not part[-1]:
        part = part[:-1]
    return part


def _place(lines: Sequence[str], part: Sequence[str]) -> int | None:
    return next((at for at in range(len(lines) - len(part) + 1) if list(lines[at : at + len(part)]) == part), None)
