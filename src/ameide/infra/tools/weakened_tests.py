"""Tests that were deleted or weakened since the base commit.

They never make a suite red: a person decides at acceptance.

Tests are read from the syntax of both commits, since what a suite reports is written by the code under test. A test
counts as weakened when it has fewer assertions, became skipped or an expected failure, or is written otherwise at all:
nobody can tell by counting what a test still asks for. The same holds for what tests stand on in their file.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from posixpath import basename

from ameide.infra.repo_config import Suite
from ameide.infra.repo_config.tree import Tree
from ameide.infra.tools.cases import TestCase, Verdict
from ameide.infra.tools.findings import finding
from ameide.infra.tools.tampering import is_configuration
from ameide_core_proto.transformation.work.v1.work_pb import Finding, FindingClass, WhereToFix

_SKIPS = ("skip", "skipif", "skipIf", "skipUnless", "skipTest", "xfail", "expectedFailure", "importorskip")


@dataclass(frozen=True)
class WrittenTest:
    """A test as its source says: how many assertions it makes, and how often it says that it may be skipped or fail.

    `text` is its whole syntax, without comments and layout.
    """

    assertions: int
    skips: int
    text: str = ""


async def weakened(
    base: Tree, head: Tree, changed: Mapping[str, str], suite: Suite, cases: Sequence[TestCase]
) -> list[Finding]:
    """Findings for what the change took from the tests.

    `changed` maps changed paths to A, M, D or T; `cases` is the head's report.
    """
    findings: list[Finding] = []
    reported = {_function(case.id): case for case in cases}
    for path, status in sorted(changed.items()):
        if status != "A" and _holds_tests(suite, path):
            old, new = tests_of(await base.read(path)), tests_of(await head.read(path))
            findings += [
                _taken(path, name, old[name], new.get(name))
                for name in old
                if _is_weaker(path, name, old[name], new.get(name), reported)
            ]
            if missing := _foundations(await base.read(path)) - _foundations(await head.read(path)):
                findings.append(_undermined(path, f"{len(missing)} helpers, fixtures or other statements beside tests"))
        elif status != "A" and suite.is_test(path):
            findings.append(_undermined(path, "what tests read"))
    return findings


def changed_test_files(suite: Suite, changed: Mapping[str, str]) -> list[str]:
    """Changed paths that are tests or configure them."""
    return sorted(path for path in changed if suite.is_test(path) or is_configuration(path))


def tests_of(source: bytes | None) -> dict[str, WrittenTest]:
    """The tests in a Python file:

    ``test_name`` or ``Class::test_name``. Nothing for a file that is gone or does not parse.
    """
    try:
        module = ast.parse(source or b"")
    except (SyntaxError, ValueError, RecursionError):
        return {}
    marks = [statement for statement in module.body if isinstance(statement, ast.Assign | ast.AnnAssign | ast.Expr)]
    everywhere = sum(_skips_in(statement) for statement in marks)
    found: dict[str, WrittenTest] = {}
    pending: list[tuple[str, ast.stmt, int]] = [("", statement, everywhere) for statement in module.body]
    for prefix, node, inherited in pending:
        if isinstance(node, ast.ClassDef):
            own = inherited + sum(_skips_in(decorator) for decorator in node.decorator_list)
            pending += [(f"{prefix}{node.name}::", statement, own) for statement in node.body]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
            found[prefix + node.name] = WrittenTest(_assertions(node), inherited + _skips_in(node), ast.dump(node))
    return found


def _holds_tests(suite: Suite, path: str) -> bool:
    return path.endswith(".py") and (suite.is_test(path) or basename(path).startswith("test"))


def _foundations(source: bytes | None) -> set[str]:
    """The syntax of everything in a test file that is neither a test nor an import: helpers, fixtures, constants."""
    try:
        module = ast.parse(source or b"")
    except (SyntaxError, ValueError, RecursionError):
        return set()
    found: set[str] = set()
    pending: list[ast.stmt] = list(module.body)
    for node in pending:
        if isinstance(node, ast.ClassDef):
            pending += node.body
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
            continue
        elif not isinstance(node, ast.Import | ast.ImportFrom):
            found.add(ast.dump(node))
    return found


def _is_weaker(
    path: str, name: str, old: WrittenTest, new: WrittenTest | None, reported: Mapping[str, TestCase]
) -> bool:
    if new is None or new != old:
        return True
    case = reported.get(f"{path}::{name}")
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


def _assertions(node: ast.AST) -> int:
    return sum(
        isinstance(inner, ast.Assert) or (isinstance(inner, ast.Call) and _is_assertion(_name(inner.func)))
        for inner in ast.walk(node)
    )


def _is_assertion(name: str) -> bool:
    return name.startswith(("assert", "fail")) or name in {"raises", "warns"}


def _skips_in(node: ast.AST) -> int:
    return sum(_is_skip(inner) for inner in ast.walk(node))


def _is_skip(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute | ast.Name) and _name(node) in _SKIPS


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
