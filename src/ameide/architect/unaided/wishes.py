"""What a person wrote, in sentences and items: nothing is added to it."""

from __future__ import annotations

import re

_ITEM = re.compile(r"^\s*(?:[-*+•]|\d{1,3}[.)])\s+(.*)$")
# A semicolon parts statements as well, where people jot them down in one line.
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[^\W\d_a-z])|;\s+")
_TITLE = 80
_HEADING = re.compile(r"^\s*#{1,6}\s+")


def items_of(wish: str) -> list[str]:
    """Its list items if it has a list, else its sentences, each once and without the white space around it."""
    lines = wish.splitlines()
    listed = [match[1] for line in lines if (match := _ITEM.match(line))]
    prose = " ".join(line for line in lines if line.strip() and not _HEADING.match(line))
    found = listed or _SENTENCE.split(prose)
    return list(dict.fromkeys(text for one in found if (text := " ".join(one.split()))))


def statements_of(wish: str) -> list[str]:
    """What it states, without its questions."""
    return [one for one in items_of(wish) if not one.endswith("?")]


def questions_of(wish: str) -> list[str]:
    """What it asks, also beside a list."""
    found = [*items_of(wish), *(" ".join(one.split()) for line in wish.splitlines() for one in _SENTENCE.split(line))]
    return list(dict.fromkeys(_ITEM.sub(r"\1", one) for one in found if one.endswith("?")))


def title_of(wish: str) -> str:
    """Its first line or sentence, shortened at a word."""
    lines = [_HEADING.sub("", line).strip() for line in wish.splitlines() if line.strip()]
    first = _SENTENCE.split(lines[0])[0].rstrip(".") if lines else ""
    if len(first) <= _TITLE:
        return first
    return f"{first[:_TITLE].rpartition(' ')[0] or first[:_TITLE]}…"
