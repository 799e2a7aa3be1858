"""The words of a question that are worth looking for, and what it is about."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ID = re.compile(r"\b(?:chg|gat|wrk|rel|prm|art|evd)-[0-9a-z][0-9a-z-]{2,62}\b")
_RUN = re.compile(r"\br2r/[a-z0-9-]+/[A-Za-z0-9-]+/[1-9][0-9]*\b")
# A name with an ending, or folders with or without one.
_PATH = re.compile(
    r"(?<![\w/.-])(?:[\w.-]+/)*[\w-][\w.-]*\.[A-Za-z][A-Za-z0-9]{0,8}\b(?!/)"
    r"|(?<![\w/.-])(?:[\w.-]+/)+[\w.-]+"
)
_QUOTED = re.compile(r"[\"'`“”«»]([^\"'`“”«»\n]{2,80})[\"'`“”«»]")
_WORD = re.compile(r"[^\W_][\w]*(?:[-'][^\W_]\w*)*")
_MOST_WORDS, _MOST_TEXT = 24, 4096
_COMMON_WORDS = """
a about after again all also am an and any are as at be because been before but by can could did do does done each
find for from get give had has have he her here him his how i if in into is it its just know last latest let like
list look made make many may me more most much must my new newest no not now of off on one only or our out over
please said say see shall she should show so some such tell than that the their them then there these they this
those to too under until up us use used want was we were what when where which while who whom whose why will with
would you your
"""
_COMMON = frozenset((*_COMMON_WORDS.split(), "mean", "means", "meaning", "define", "defined", "explain", "called"))
# Words by which a question names a kind of record, and the tool that lists it.
_TOPICS = {
    "list_gates": "gate gates approve approved approval approvals decide decided decision waiting waits pending reject",
    "list_releases": "release releases released image images digest shipped ship",
    "list_promotions": "promotion promotions promote promoted rollout rollback",
    "list_environments": "environment environments deployed deploy staging production runs-in",
    "get_budget": "budget budgets cost costs tokens spent spend limit money",
    "get_status": "status stuck stands queue queues lag parked health healthy stalled",
    "get_repository": "policy policies rule rules allowed denied bounds deciders gitops",
    "list_repositories": "repository repositories repo repos registered",
    "list_changes": "change changes open requested",
    "list_artifacts": "artifact artifacts requirement requirements criteria criterion triage triages brief checklist",
    "list_work": "work works failed failure failures failing executor executors attempt verification verify red green",
    "list_evidence": "evidence log logs patch junit",
    "get_timeline": "timeline happened history course progress run runs iteration iterations phase",
    "list_facts": "fact facts audit whom behalf",
}
_BY_WORD = {word: tool for tool, words in _TOPICS.items() for word in words.split()}
_MEANS = re.compile(r"\b(?:what (?:is|are|does)|meaning of|mean|means|define|explain)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a question holds: `words` folded, without common ones, in their order; `phrases` stood quoted."""

    words: tuple[str, ...]
    phrases: tuple[str, ...]
    ids: tuple[str, ...]
    runs: tuple[str, ...]
    paths: tuple[str, ...]
    topics: tuple[str, ...]
    asks_meaning: bool

    @property
    def wanted(self) -> tuple[str, ...]:
        """All that is looked for in texts, phrases first."""
        return tuple(dict.fromkeys((*(one.casefold() for one in self.phrases), *self.words)))


def terms_of(question: str) -> Terms:
    """The terms of a question; of a long one, those of its beginning."""
    text = question[:_MOST_TEXT]
    ids, runs = _ID.findall(text), _RUN.findall(text)
    rest = _RUN.sub(" ", _ID.sub(" ", text))
    phrases = [match.strip() for match in _QUOTED.findall(rest)]
    paths = [path for path in _PATH.findall(rest) if not path.replace(".", "").isdigit()]
    words = [word for word in _WORD.findall(rest) if len(word) > 2]
    folded = list(dict.fromkeys(word.casefold() for word in words))
    topics = list(dict.fromkeys(_BY_WORD[word] for word in folded if word in _BY_WORD))
    kept = [word for word in folded if word not in _COMMON and not word.isdigit()]
    return Terms(
        tuple(kept[:_MOST_WORDS]),
        _unique(phrases),
        _unique(ids),
        _unique(runs),
        _unique(paths),
        tuple(topics),
        bool(_MEANS.search(text)),
    )


def is_topic(word: str) -> bool:
    """Whether the word names a kind of record: what there is of it is listed, and said to be missing, by that kind."""
    return word in _BY_WORD


def searchable(terms: Terms, most: int) -> list[str]:
    """What is worth a search through files: phrases, then names of code, then words, the longest first.

    Words that name a kind of record may be meant otherwise in a repository; they come last.
    """
    names = [word for word in terms.words if "_" in word or any(each.isdigit() for each in word)]
    plain = sorted((word for word in terms.words if len(word) > 3), key=lambda word: (word in _BY_WORD, -len(word)))
    return list(dict.fromkeys((*terms.phrases, *names, *plain)))[:most]


def _unique(texts: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))[:8]
