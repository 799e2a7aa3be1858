"""The tests in a Python source, and what they stand on."""

from __future__ import annotations

import ast

from ameide.infra.tools.written import Written, WrittenTest

_SKIPS = ("skip", "skipif", "skipIf", "skipUnless", "skipTest", "xfail", "expectedFailure", "importorskip")


def python_tests(source: bytes | None) -> Written:
    """The tests and the syntax of everything beside them. Nothing for a file that is gone or does not parse."""
    return Written(tests_of(source), _foundations(source))


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
