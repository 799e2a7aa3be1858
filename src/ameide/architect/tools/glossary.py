"""What the words of the control plane mean."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from ameide.architect.tools.arguments import Arguments, schema, string
from ameide.architect.tools.rendering import listed
from ameide.architect.tools.tool import Tool, ToolAnswer, ToolContext

_MOST = 6


@dataclass(frozen=True, slots=True)
class Term:
    """A word, what it means, other words for it, and words that belong to it."""

    name: str
    meaning: str
    also: tuple[str, ...] = ()
    see: tuple[str, ...] = ()


@cache
def terms() -> tuple[Term, ...]:
    """All of them, in the order of the alphabet."""
    data = tomllib.loads((files("ameide.architect") / "glossary.toml").read_text(encoding="utf-8"))
    found = [
        Term(name, " ".join(one["meaning"].split()), tuple(one.get("also", ())), tuple(one.get("see", ())))
        for name, one in data.items()
    ]
    return tuple(sorted(found, key=lambda term: term.name.casefold()))


def looked_up(word: str) -> list[Term]:
    """Terms of that name, else those whose name holds the word, else those whose meaning does."""
    wanted = word.strip().casefold()
    exact = [term for term in terms() if wanted in _names(term) or wanted.removesuffix("s") in _names(term)]
    named = [term for term in terms() if any(wanted in name for name in _names(term))]
    return (exact or named or [term for term in terms() if wanted in term.meaning.casefold()])[:_MOST]


def _names(term: Term) -> tuple[str, ...]:
    return tuple(name.casefold() for name in (term.name, *term.also))


async def _look_up(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    del ctx
    word = arguments.text("term")
    found = looked_up(word)
    if not found:
        return ToolAnswer(not_found=(f"{word!r} in the glossary",), notes=(listed((t.name for t in terms()), 100),))
    lines = [f"{term.name}: {term.meaning}" + (f" See {', '.join(term.see)}." if term.see else "") for term in found]
    return ToolAnswer(notes=(*lines, "the glossary is no record: say that it is from there, without a citation"))


TOOLS = (
    Tool(
        "look_up_term",
        "What a word of the control plane means, such as gate, fact, promotion or claim.",
        schema(["term"], term=string("One word or name.", most=80, least=1)),
        _look_up,
    ),
)
