"""Tests that were deleted or weakened since the base commit.

They never make a suite red: a person decides at acceptance.

Tests are read from the syntax of both commits, since what a suite reports is written by the code under test. A test
counts as weakened when it has fewer assertions, became skipped or an expected failure, or is written otherwise at all:
nobody can tell by counting what a test still asks for. The same holds for what tests stand on in their file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from posixpath import basename

from ameide.infra.repo_config import Suite
from ameide.infra.repo_config.tree import Tree
from ameide.infra.tools.cases import TestCase, Verdict
from ameide.infra.tools.findings import finding
from ameide.infra.tools.plain_tests import plain_tests
from ameide.infra.tools.python_tests import python_tests
from ameide.infra.tools.source_text import language_of
from ameide.infra.tools.tampering import is_configuration
from ameide.infra.tools.written import Written, WrittenTest
from ameide_core_proto.transformation.work.v1.work_pb import Finding, FindingClass, WhereToFix


async def weakened(
    base: Tree, head: Tree, changed: Mapping[str, str], suite: Suite, cases: Sequence[TestCase]
) -> list[Finding]:
    """Findings for what the change took from the tests.

    `changed` maps changed paths to A, M, D or T; `cases` is the head's report.
    """
    findings: list[Finding] = []
    reported = {_function(case.id): case for case in cases}
    # Reports that name no file have the test's name at the end.
    reported |= {case.id.rpartition("::")[2]: case for case in cases}
    for path, status in sorted(changed.items()):
        if status != "A" and _holds_tests(suite, path):
            old, new = _written(path, await base.read(path)), _written(path, await head.read(path))
            findings += [
                _taken(path, name, test, new.tests.get(name))
                for name, test in old.tests.items()
                if _is_weaker(path, name, test, new.tests.get(name), reported)
            ]
            if missing := old.foundations - new.foundations:
                findings.append(_undermined(path, f"{len(missing)} helpers, fixtures or other statements beside tests"))
        elif status != "A" and suite.is_test(path):
            findings.append(_undermined(path, "what tests read"))
    return findings


def changed_test_files(suite: Suite, changed: Mapping[str, str]) -> list[str]:
    """Changed paths that are tests or configure them."""
    return sorted(path for path in changed if suite.is_test(path) or is_configuration(path))


def _holds_tests(suite: Suite, path: str) -> bool:
    if path.endswith(".py"):
        return suite.is_test(path) or basename(path).startswith("test")
    return language_of(path) is not None and suite.is_test(path)


def _written(path: str, source: bytes | None) -> Written:
    language = language_of(path)
    return python_tests(source) if language is None else plain_tests(source, language)


def _is_weaker(
    path: str, name: str, old: WrittenTest, new: WrittenTest | None, reported: Mapping[str, TestCase]
) -> bool:
    if new is None or new != old:
        return True
    case = reported.get(f"{path}::{name}") or (None if path.endswith(".py") else reported.get(name))
    return case is not None and case.verdict is Verdict.SKIPPED and not old.skips


def _taken(path: str, name: str, old: WrittenTest, new: WrittenTest | None) -> Finding:
    if new is None:
        what = "was deleted or renamed"
    elif new.assertions < old.assertions:
        what = f"makes {new.assertions} assertions instead of {old.assertions}"
    elif new.skips > old.skips:
        what = "may now be skipped or fail"
    elif new.text != old.text:
        what = "was rewritten"
    else:
        what = "is now skipped"
    return finding(
        FindingClass.POLICY_VIOLATION,
        f"{path}::{name}",
        f"{path}::{name} {what}; the base commit had it.",
        why="A test that is gone or asks for less can no longer fail.",
        where=WhereToFix.GUARDRAIL,
        steps=["Restore the test, or accept its loss knowingly at the gate."],
        location=path,
    )


def _undermined(path: str, what: str) -> Finding:
    return finding(
        FindingClass.POLICY_VIOLATION,
        f"test-foundations:{path}",
        f"{path}: {what} changed or went away.",
        why="What tests stand on decides what they see.",
        where=WhereToFix.GUARDRAIL,
        steps=["Read its difference before accepting."],
        location=path,
    )


def _function(id: str) -> str:
    return id.partition("[")[0]
