"""An answer without a model: what the records and the files have on the words of a question, each cited.

It says what it found and what it did not. It draws no conclusions.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ameide.architect.records import Record
from ameide.architect.tools import glossary
from ameide.architect.tools.glossary import Term
from ameide.architect.tools.registry import call
from ameide.architect.tools.rendering import clipped, inert, listed, one_line
from ameide.architect.tools.tool import ToolAnswer, ToolContext
from ameide.architect.unaided.ranking import Ranked, excerpt, ranked
from ameide.architect.unaided.terms import Terms, is_topic, searchable, terms_of

_RECORDS, _LINES, _WIDTH = 8, 6, 400
_CALLS, _SEARCHES, _AT_ONCE, _MEANINGS = 16, 4, 4, 2
_GETTERS = {
    "chg": ("get_change", "change_id"),
    "gat": ("get_gate", "gate_id"),
    "wrk": ("get_work", "work_request_id"),
    "rel": ("get_release", "release_id"),
    "art": ("get_artifact", "artifact_id"),
    "evd": ("get_evidence", "evidence_bundle_id"),
}
_Call = tuple[str, Mapping[str, object]]
_ABOUT_A_CHANGE = frozenset({"get_timeline"})


@dataclass(frozen=True, slots=True)
class Retrieved:
    """An answer in Markdown with `[[key]]` where a record is cited, as a model would write it.

    `calls` are what the tools said, by their names: their records were read, and their marks count.
    """

    text: str
    calls: Sequence[tuple[str, ToolAnswer]]
    not_found: tuple[str, ...]


async def retrieve(ctx: ToolContext, question: str) -> Retrieved:
    """Look a question up in everything that the tools reach."""
    terms = terms_of(question)
    calls = _calls(ctx, terms)
    room = asyncio.Semaphore(_AT_ONCE)

    async def made(name: str, arguments: Mapping[str, object]) -> ToolAnswer:
        async with room:
            return await call(ctx, name, arguments)

    answers = await asyncio.gather(*(made(name, arguments) for name, arguments in calls))
    said = [(name, answer) for (name, _), answer in zip(calls, answers, strict=True)]
    groups = [(name, answer.records) for name, answer in said]
    best = ranked(terms, groups, _RECORDS)
    meant = _meant(question, terms)
    missing = _missing(terms, best, meant)
    parts = [f"**{term.name}** (glossary): {term.meaning}" for term in meant]
    parts += [_told(one) for one in best]
    if not parts:
        parts = ["Nothing in the records or in the repository's files has to do with these words."]
    failed = {answer.error: f"{name} {answer.asked}".strip() for name, answer in reversed(said) if answer.error}
    parts += [inert(f"Could not look ({asked}): {clipped(error, _WIDTH)}") for error, asked in reversed(failed.items())]
    if missing:
        parts.append(f"Not found: {inert(listed(missing, 10))}.")
    return Retrieved("\n\n".join(parts) + "\n", said, tuple(missing))


def _calls(ctx: ToolContext, terms: Terms) -> list[_Call]:
    """What is worth reading for a question, the most specific first."""
    calls: list[_Call] = []
    for name in terms.ids:
        tool, argument = _GETTERS.get(name[:3], ("", ""))
        if tool:
            calls.append((tool, {argument: name}))
    calls += [("get_timeline", {"process_instance_id": run}) for run in terms.runs]
    if ctx.repository_id:
        calls += [("read_file", {"path": path}) for path in terms.paths if "." in path.rpartition("/")[2]]
    if ctx.change_id:
        calls.append(("get_change", {}))
    calls += [(tool, {}) for tool in terms.topics if ctx.change_id or tool not in _ABOUT_A_CHANGE]
    if ctx.change_id or not calls:
        calls.append(("list_artifacts", {}))
    if not ctx.change_id and not terms.ids:
        calls.append(("list_changes", {}))
    if ctx.repository_id:
        calls += [("search_files", {"text": term}) for term in searchable(terms, _SEARCHES)]
    return [one for place, one in enumerate(calls) if one not in calls[:place]][:_CALLS]


def _missing(terms: Terms, best: list[Ranked], meant: list[Term]) -> list[str]:
    """Names that no tool found, and words that none of the records told holds."""
    held = {term for one in best for term in one.held}
    text = "\n".join(f"{one.record.label}\n{one.record.key}" for one in best)
    names = [name for name in (*terms.ids, *terms.runs, *terms.paths) if name not in text]
    explained = " ".join(name for term in meant for name in (term.name, *term.also))
    words = [
        f"'{term}'"
        for term in terms.wanted
        if term not in held and not is_topic(term) and term.removesuffix("s") not in explained
    ]
    # A word of a name that was not found is said with that name.
    return [*names, *(word for word in words if not any(word.strip("'") in name.casefold() for name in names))]


def _meant(question: str, terms: Terms) -> list[Term]:
    """Terms of the glossary that a question for a meaning names, the longest first."""
    if not terms.asks_meaning:
        return []
    asked = question.casefold()
    places = {
        term: max(len(name) for name in names)
        for term in glossary.terms()
        if (names := [name for name in (term.name, *term.also) if re.search(rf"\b{re.escape(name)}s?\b", asked)])
    }
    found = sorted(places, key=lambda term: -places[term])
    return [term for place, term in enumerate(found) if not any(term.name in longer.name for longer in found[:place])][
        :2
    ]


def _told(one: Ranked) -> str:
    record = one.record
    if record.lines is not None:
        return _quoted(record, one.held)
    shown = [clipped(one_line(line), _WIDTH) for line in excerpt(record, one.held, _LINES) if line.strip()]
    return f"{inert(one_line(record.label))}: {inert(' / '.join(shown))} [[{record.key}]]"


def _quoted(record: Record, held: frozenset[str]) -> str:
    assert record.lines is not None
    quoted = "\n".join(f"> {line}" for line in excerpt(record, held, _LINES))
    return f"{inert(record.lines.path)}:\n{quoted}\n[[{record.key}]]"
