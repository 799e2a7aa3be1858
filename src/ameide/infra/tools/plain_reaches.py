"""By what a source that is not Python could reach the tests' runner, or end the run with a verdict of its own."""

from __future__ import annotations

import re
from collections import Counter

from ameide.infra.tools.source_text import Language, language_of, source_text

_ANYWHERE = {
    Language.GO: r"\bos\.Exit\b|\bsyscall\.\w+|\bunsafe\.\w+|\bruntime\.Goexit\b|\bfunc TestMain\b|\bplugin\.Open\b",
    Language.SCRIPT: r"\bprocess\.(?:exit\w*|on\w*|binding|stdout|reallyExit)\b|\brequire\.(?:cache|extensions)\b"
    r"|\bModule\.\w+|\beval\b|\bFunction\s*\(|\bprototype\.\w+\s*=|\b(?:globalThis|global)\.\w+\s*=",
    Language.JVM: r"\bSystem\.(?:exit|setOut|setErr|setSecurityManager)\b|\bRuntime\.getRuntime\b|\bsetAccessible\b"
    r"|\b(?:sun\.misc|jdk\.internal)\.\w+|\bThread\.currentThread\(\)\.getStackTrace\b",
}
_OUTSIDE_TESTS = {
    Language.GO: r"\btesting\.\w+|\bflag\.Set\b",
    Language.SCRIPT: r"\b(?:describe|beforeEach|afterEach)\b",
    Language.JVM: r"\borg\.junit\b|\bsurefire\b",
}
_WORDS = {
    Language.GO: r"//go:linkname|\btesting\b|_test\.go",
    Language.SCRIPT: r"node:(?:test|module|vm)|\b(?:tape|mocha|jest|vitest|ava|junit)\b|child_process",
    Language.JVM: r"surefire|junit|target/",
}


def plain_reaches(path: str, source: bytes | None, is_test: bool) -> Counter[str]:
    """How often a source names each of them; nothing for a language that is not known."""
    language = language_of(path)
    if language is None:
        return Counter()
    text = source_text(source, language)
    found = Counter(match[0].strip() for match in re.finditer(_ANYWHERE[language], text.bare))
    if not is_test:
        found.update(match[0] for match in re.finditer(_OUTSIDE_TESTS[language], text.bare))
        # Names of modules, and directives, stand in literals and comments.
        found.update(f"the word {match[0]}" for match in re.finditer(_WORDS[language], text.whole))
    return found
