"""Which of the records that were read answer a question best, by its words alone."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ameide.architect.records import Record
from ameide.architect.unaided.terms import Terms

_DEFINITION = re.compile(
    r"^\s*(?:export |public |async |static )*"
    r"(?:def|class|func|fn|function|interface|message|rpc|type|enum|service|const)\b"
)
_NAMED, _TOPIC, _DEFINED, _LABEL = 20.0, 2.0, 2.0, 1.5
# What nobody wrote by hand says little that its source does not say better.
_MADE = re.compile(
    r"(?:^|/)(?:gen|generated|dist|build|vendor|node_modules)/|_pb2?(?:_grpc)?\.|\.pb\.|\.min\.|[.-]lock(?:\.\w+)?$"
)
_MADE_COUNTS = 0.3
# Of one file, and the characters of a line that a person still reads.
_OF_A_FILE, _READABLE = 2, 240


@dataclass(frozen=True, slots=True)
class Ranked:
    """A record with its score, and which of the terms it holds."""

    record: Record
    score: float
    held: frozenset[str]


def ranked(terms: Terms, groups: Iterable[tuple[str, Sequence[Record]]], most: int) -> list[Ranked]:
    """The best records, best first. `groups` are what each tool read, by its name.

    A word that few records hold counts more. What the question names by its id comes first; of what it names by kind,
    the newest. A record that holds nothing of the question is none.
    """
    found = [(tool, record) for tool, records in groups for record in records]
    texts = [f"{record.label}\n{record.text}".casefold() for _, record in found]
    rarity = {
        term: math.log((len(texts) + 1) / (1 + sum(term in text for text in texts))) + 0.5 for term in terms.wanted
    }
    scored: list[Ranked] = []
    for (tool, record), text in zip(found, texts, strict=True):
        held = frozenset(term for term in terms.wanted if term in text)
        score = sum(rarity[term] * (_LABEL if term in record.label.casefold() else 1.0) for term in held)
        score += _NAMED * sum(name in record.label or name in record.key for name in (*terms.ids, *terms.runs))
        score += _NAMED * (record.lines is not None and record.lines.path in terms.paths)
        if tool in terms.topics:
            score += _TOPIC
        if record.lines is not None and _defines(record.text, held):
            score += _DEFINED
        if record.lines is not None and _tedious(record):
            score *= _MADE_COUNTS
        if score > 0:
            scored.append(Ranked(record, score, held))
    scored.sort(key=lambda one: (-one.score, -one.record.log_position, one.record.key))
    best: list[Ranked] = []
    for one in scored:
        of_its_file = sum(_one_file(one.record, better.record) for better in best)
        if of_its_file < _OF_A_FILE and not any(_same(one.record, better.record) for better in best):
            best.append(one)
    return best[:most]


def excerpt(record: Record, held: frozenset[str], lines: int) -> list[str]:
    """Lines of a record that follow each other and hold most of these terms."""
    all_lines = record.text.split("\n")
    if len(all_lines) <= lines:
        return all_lines
    counts = [sum(term in line.casefold() for term in held) for line in all_lines]
    sums = [sum(counts[start : start + lines]) for start in range(len(all_lines) - lines + 1)]
    start = max(range(len(sums)), key=lambda place: (sums[place], -place))
    chosen = all_lines[start : start + lines]
    full = [place for place, line in enumerate(chosen) if line.strip()]
    return chosen[full[0] : full[-1] + 1] if full else chosen


def _same(one: Record, other: Record) -> bool:
    """Whether they are one record, or lines of a file that overlap."""
    if one.lines is None or other.lines is None:
        return one.key == other.key
    first = max(one.lines.first_line, other.lines.first_line)
    return _one_file(one, other) and first <= min(one.lines.last_line, other.lines.last_line)


def _one_file(one: Record, other: Record) -> bool:
    if one.lines is None or other.lines is None:
        return False
    places = [(lines.repository_id, lines.commit_sha, lines.path) for lines in (one.lines, other.lines)]
    return places[0] == places[1]


def _tedious(record: Record) -> bool:
    """Lines of a file that a program wrote, or that are too long to be read."""
    assert record.lines is not None
    return bool(_MADE.search(record.lines.path)) or any(len(line) > _READABLE for line in record.text.split("\n"))


def _defines(text: str, held: frozenset[str]) -> bool:
    return any(_DEFINITION.match(line) and any(term in line.casefold() for term in held) for line in text.split("\n"))
