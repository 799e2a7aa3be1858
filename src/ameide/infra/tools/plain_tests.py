"""The tests in a source of Go, JavaScript, TypeScript or a language of the JVM, and what they stand on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ameide.infra.tools.source_text import Language, SourceText, source_text
from ameide.infra.tools.written import Written, WrittenTest

_ASSERTIONS = {
    Language.GO: re.compile(r"\b[tbf]\.(?:Error|Fatal|Fail)\w*\(|\b(?:assert|require)\.\w+\("),
    Language.SCRIPT: re.compile(r"\b(?:assert\w*|expect|should)\b\s*[.(]|\bt\.\w+\("),
    Language.JVM: re.compile(r"\b(?:assert\w*|fail|verify|expect\w*)\s*[({]"),
}
_SKIPS = {
    Language.GO: re.compile(r"\.Skip(?:f|Now)?\(|\btesting\.Short\(\)|\bos\.Exit\("),
    Language.SCRIPT: re.compile(
        r"\.(?:skip|skipIf|runIf|todo|failing|fails|only)\b|\bx(?:it|test|describe)\b|\b(?:skip|todo)\s*:"
    ),
    Language.JVM: re.compile(r"@(?:Disabled|Ignore|Enabled)\w*|\bassum\w*\s*\(|@Tag\b"),
}
_TESTS = {
    Language.GO: re.compile(r"^func\s+((?:Test|Fuzz|Example|Benchmark)\w*)\s*\(", re.MULTILINE),
    Language.SCRIPT: re.compile(r"(?<![\w.])(?:x?it|x?test|specify|t\.test)((?:\.\w+(?:\([^)]*\))?)*)\s*(\()"),
    Language.JVM: re.compile(r"\b(?:void|fun|def)\s+(\w+|`[^`\n]*`)\s*\([^)]*\)[^{};]*\{"),
}
_IMPORT = re.compile(
    r"import\b.*|package\b.*|(?:const|let|var)\s.*\brequire\(.*|(?:\w+\s+)?\"[^\"]*\"|[()]|['\"]use strict['\"];?"
)
_BUILD_TAG = re.compile(r"^//(?:go:build|\s*\+build)\b.*", re.MULTILINE)
_LITERAL = re.compile(r"\s*([\"'`])(.*?)(?<!\\)\1", re.DOTALL)


@dataclass(frozen=True)
class _Span:
    name: str
    start: int
    end: int


def plain_tests(source: bytes | None, language: Language) -> Written:
    """The tests by name (a second one of a name has its number behind it), and the lines beside them."""
    text = source_text(source, language)
    spans = list(_spans(text, language))
    beside = _beside(text.code, spans)
    everywhere = len(_SKIPS[language].findall(_beside(text.bare, spans)))
    everywhere += len(_BUILD_TAG.findall(text.whole)) if language is Language.GO else 0
    tests: dict[str, WrittenTest] = {}
    for span in spans:
        bare, code = text.bare[span.start : span.end], text.code[span.start : span.end]
        name, number = span.name, 1
        while name in tests:
            number += 1
            name = f"{span.name} #{number}"
        tests[name] = WrittenTest(
            len(_ASSERTIONS[language].findall(bare)),
            everywhere + len(_SKIPS[language].findall(bare)),
            " ".join(code.split()),
        )
    lines = (" ".join(line.split()) for line in beside.splitlines())
    return Written(tests, {line for line in lines if line.strip("(){};, ") and not _IMPORT.fullmatch(line)})


def _spans(text: SourceText, language: Language) -> Iterator[_Span]:
    behind = 0
    for found in _TESTS[language].finditer(text.bare):
        if found.start() < behind:
            # A test within a test is a part of it.
            continue
        if language is Language.SCRIPT:
            literal = _LITERAL.match(text.code, found.end())
            if literal is None:
                continue
            span = _Span(literal[2], found.start(), text.closing(found.start(2)))
        elif language is Language.GO:
            opening = text.bare.find("{", found.end())
            span = _Span(found[1], found.start(), text.closing(opening) if opening >= 0 else len(text.bare))
        else:
            before = max(text.bare.rfind(mark, 0, found.start()) for mark in "{};") + 1
            marks = text.bare[before : found.start()]
            if not re.search(r"@\w*Test\w*", marks) and not found[1].startswith("test"):
                continue
            span = _Span(found[1].strip("`"), before, text.closing(found.end() - 1))
        behind = span.end
        yield span


def _beside(view: str, spans: list[_Span]) -> str:
    parts: list[str] = []
    place = 0
    for span in spans:
        parts.append(view[place : span.start])
        place = span.end
    return "\n".join([*parts, view[place:]])
