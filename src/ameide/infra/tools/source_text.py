"""Source of Go, JavaScript, TypeScript and the JVM's languages, as far as it can be told without a parser of each.

Comments and literals are told from code by one scanner for all of them, since what a test does must not be hidden in,
or made up by, what only looks like code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from posixpath import splitext

_COMMENT = r"(?P<comment>//[^\n]*|/\*.*?(?:\*/|\Z))"
_TEXT = (
    r'(?P<text>""".*?(?:"""|\Z)|"(?:\\.|[^"\\\n])*(?:"|$)|'
    r"'(?:\\.|[^'\\\n])*(?:'|$)|`(?:\\.|[^`\\])*(?:`|\Z))"
)
# Where a slash cannot divide, it begins a regular expression.
_EXPRESSION = r"(?P<expression>(?<=[(,=:\[!&|?{};\n])\s*/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n])+/)"


class Language(Enum):
    """A family of languages with the same words for tests."""

    GO = "go"
    SCRIPT = "script"
    JVM = "jvm"


_EXTENSIONS = {
    ".go": Language.GO,
    **dict.fromkeys((".js", ".cjs", ".mjs", ".jsx", ".ts", ".cts", ".mts", ".tsx"), Language.SCRIPT),
    **dict.fromkeys((".java", ".kt", ".groovy", ".scala"), Language.JVM),
}


_TOKENS = {
    language: re.compile(
        "|".join([_COMMENT, _TEXT, *([_EXPRESSION] if language is Language.SCRIPT else [])]), re.DOTALL | re.MULTILINE
    )
    for language in Language
}


@dataclass(frozen=True)
class SourceText:
    """A source in three views of one length: as it is, `code` without comments, `bare` also without literals."""

    whole: str
    code: str
    bare: str

    def closing(self, start: int) -> int:
        """Where the bracket that opens at `start` closes, one behind it; the end of the source when it does not."""
        depth = 0
        for place in range(start, len(self.bare)):
            if self.bare[place] in "([{":
                depth += 1
            elif self.bare[place] in ")]}":
                depth -= 1
                if depth <= 0:
                    return place + 1
        return len(self.bare)


def language_of(path: str) -> Language | None:
    """The language of a file by its name; None for one that is not known here."""
    return _EXTENSIONS.get(splitext(path)[1])


def source_text(source: bytes | None, language: Language) -> SourceText:
    """The source in its views; empty for a file that is gone."""
    whole = (source or b"").decode("utf-8", "replace")

    def without(*kinds: str) -> str:
        return _TOKENS[language].sub(lambda found: _blank(found[0]) if found.lastgroup in kinds else found[0], whole)

    return SourceText(whole, without("comment"), without("comment", "text", "expression"))


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)
