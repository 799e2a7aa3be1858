"""Where words stand in the files of a commit."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from ameide.errors import InvalidArgument
from ameide.infra.analysis.commit_files import CommitFiles

MOST, LONGEST = 10, 200
_SHOWN, _WIDTH = 20, 240
_SHORTEST = 4
_WORDS = """
about are code could does file files from handled have here into repository should that the their there these this
used what when where which with would
"""
_ASKING = frozenset(_WORDS.split())


@dataclass(frozen=True)
class Line:
    """One line with a term in it."""

    path: str
    number: int
    text: str


@dataclass(frozen=True)
class Found:
    """A term, in how many lines of how many files it stands, and the first of them by path."""

    term: str
    lines: int
    files: int
    shown: Sequence[Line]


def terms_of(question: str) -> list[str]:
    """The words to look for; words in quotes belong together. Raises InvalidArgument for too many of them.

    Of a sentence that asks something the words that can stand for something in a file are looked for.
    """
    try:
        words = shlex.split(question, comments=False)
    except ValueError:
        # An apostrophe is no quote.
        words = question.replace('"', " ").split()
    terms = list(dict.fromkeys(word.strip() for word in words if word.strip()))
    if question.rstrip().endswith("?"):
        plain = [term.strip("?!.,:;") for term in terms]
        telling = [term for term in plain if len(term) >= _SHORTEST and term.casefold() not in _ASKING]
        return list(dict.fromkeys(telling))[:MOST]
    if len(terms) > MOST or any(len(term) > LONGEST for term in terms):
        raise InvalidArgument(
            f"names {len(terms)} terms",
            field="inputs.question",
            remedy=f"A tool run looks for at most {MOST} terms of {LONGEST} characters; ask an agent the question",
        )
    return terms


async def search(files: CommitFiles, terms: Sequence[str]) -> list[Found]:
    """Where each term stands, whatever its case. Raises `GitFailed`."""
    if not terms:
        return []
    await files.load(files.paths)
    counts: dict[str, tuple[int, int]] = dict.fromkeys(terms, (0, 0))
    shown: dict[str, list[Line]] = {term: [] for term in terms}
    for path in files.paths:
        text = await files.text(path)
        if text is None:
            continue
        whole = text.casefold()
        for term in terms:
            wanted = term.casefold()
            if wanted not in whole:
                continue
            # As editors count lines, which `splitlines` does not.
            hits = [(n, line) for n, line in enumerate(text.split("\n"), 1) if wanted in line.casefold()]
            lines, of = counts[term]
            counts[term] = (lines + len(hits), of + bool(hits))
            room = _SHOWN - len(shown[term])
            shown[term] += [Line(path, number, line.strip()[:_WIDTH]) for number, line in hits[: max(room, 0)]]
    return [Found(term, *counts[term], shown[term]) for term in terms]
