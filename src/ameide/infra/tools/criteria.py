"""Which tests say that they are about which acceptance criterion.

A test names a criterion by its number, `criterion 2` or `AC2`, in its name, its docstring or a comment in it. Only
tests that the change added or changed count: an older one means the criteria of another change. It is the test's own
word; whoever accepts the change reads it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from ameide.infra.repo_config.tree import Tree
from ameide.infra.tools.cases import TestCase

ARTIFACT = "criteria.json"
"""The evidence of a verification that holds, for each number, the checks that name it (`Naming`, as JSON)."""

_NAMED = re.compile(r"(?i)(?<![A-Za-z])(?:ac|criteri(?:on|a))(?:[\s_#-]{0,3})(\d{1,3})(?!\d)")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?:AC|Criterion)_?(\d{1,3})(?!\d)")
_NEAR = 6
_MOST = 200


@dataclass(frozen=True)
class Naming:
    """A check that names a criterion, how it ended (passed, failed, skipped), and the file where it says so."""

    check: str
    status: str
    where: str


async def named_criteria(
    base: Tree, head: Tree, changed: Mapping[str, str], tests: Iterable[str], cases: Sequence[TestCase]
) -> dict[str, list[dict[str, str]]]:
    """By a criterion's number, the checks of changed tests that name it, 200 in all at most.

    `changed` maps changed paths to A, M, D or T, `tests` are those of them that hold tests, `cases` is the report.
    """
    found: dict[int, dict[str, Naming]] = {}
    for path in tests:
        if changed[path] == "D":
            continue
        old = await base.read(path) if changed[path] != "A" else b""
        new = (await head.read(path) or b"").decode("utf-8", "replace")
        former = (old or b"").decode("utf-8", "replace")
        written = _python(path, former, new) if path.endswith(".py") else _lines(path, former, new, cases)
        for case in cases:
            for number in written.get(case.id.partition("[")[0], set()) | _in_name(case, path, written):
                naming = Naming(case.id, case.verdict.name.lower(), path)
                found.setdefault(number, {}).setdefault(case.id, naming)
    left = _MOST
    shown: dict[str, list[dict[str, str]]] = {}
    for number, namings in sorted(found.items()):
        shown[str(number)] = [asdict(naming) for naming in list(namings.values())[:left]]
        left -= len(shown[str(number)])
    return shown


def _numbers(text: str) -> set[int]:
    return {int(match[1]) for pattern in (_NAMED, _CAMEL) for match in pattern.finditer(text)}


def _in_name(case: TestCase, path: str, written: Mapping[str, set[int]]) -> set[int]:
    """What a parametrised case says in its brackets, when its test is new or changed."""
    test, _, parameters = case.id.partition("[")
    return _numbers(parameters) if parameters and test in written and test.startswith(path) else set()


def _python(path: str, old: str, new: str) -> dict[str, set[int]]:
    """The new and changed tests of a Python file, by id, with the numbers that each names."""
    former = set(_functions(path, old).values())
    return {
        id: _numbers(id.rpartition("::")[2]) | _numbers(text)
        for id, text in _functions(path, new).items()
        if text not in former
    }


def _functions(path: str, source: str) -> dict[str, str]:
    try:
        module = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return {}
    lines, found = source.splitlines(), dict[str, str]()
    pending: list[tuple[str, ast.stmt]] = [(f"{path}::", statement) for statement in module.body]
    for prefix, node in pending:
        if isinstance(node, ast.ClassDef):
            pending += [(f"{prefix}{node.name}::", statement) for statement in node.body]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            found[prefix + node.name] = "\n".join(lines[first - 1 : node.end_lineno])
    return found


def _lines(path: str, old: str, new: str, cases: Sequence[TestCase]) -> dict[str, set[int]]:
    """Tests of another language: a number counts for the test that is named in an added line there or shortly after."""
    former = set(old.splitlines())
    lines = new.splitlines()
    added = [number for number, line in enumerate(lines) if line not in former]
    short = {case.id.partition("[")[0]: _short(case.id) for case in cases}
    found: dict[str, set[int]] = {}
    for number in added:
        if numbers := _numbers(lines[number]):
            near = "\n".join(lines[number : number + _NEAR])
            for id, name in short.items():
                if len(name) > 2 and name in near and (not _other_file(id, path)):
                    found.setdefault(id, set()).update(numbers)
                    break
    return found


def _short(id: str) -> str:
    return re.split(r"::|[/.#\s>]+", id.partition("[")[0].strip())[-1]


def _other_file(id: str, path: str) -> bool:
    """Whether the id itself says that the test lies in another file."""
    head = id.partition("::")[0]
    return "/" in head and head != path and "." in head.rpartition("/")[2]
