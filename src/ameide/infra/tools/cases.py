"""Test cases as a report names them, and their stable ids."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from posixpath import basename, dirname

MAX_BYTES = 32 * 1024 * 1024
MAX_CASES = 100_000
MAX_TEXT = 4000

ON_THE_JVM = re.compile(r"(?:.*/)?src/[^/]+/(?:java|kotlin|groovy|scala)/(.+)\.(?:java|kt|groovy|scala)")
_PLACE = re.compile(r"([\w@+./-]+\.[A-Za-z]{1,4}):(\d{1,7})")


class Verdict(IntEnum):
    """How a test ended; the highest one counts when a test is reported more than once."""

    SKIPPED = 1
    PASSED = 2
    FAILED = 3


@dataclass
class TestCase:
    """One test. `id` is ``file::class::name`` where the file is known, else ``classname::name``."""

    __test__ = False

    id: str
    verdict: Verdict = Verdict.PASSED
    message: str = ""
    seconds: float = 0.0


class ReportRefused(Exception):
    """The report is none that can be trusted; the message says why."""


@dataclass(frozen=True)
class Files:
    """The repository's files, by which ids and places are found; `root` is the folder where the suite ran."""

    paths: frozenset[str]
    root: str = ""
    _jvm: dict[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def of(cls, paths: Iterable[str], root: str = "") -> Files:
        """These paths, from `root`."""
        known = frozenset(paths)
        jvm: dict[str, str] = {}
        for path in sorted(known):
            if found := ON_THE_JVM.fullmatch(path):
                name = found[1].replace("/", ".")
                # Two modules with the same class: no file is told then.
                jvm[name] = "" if name in jvm else path
        return cls(known, root.rstrip("/"), jvm)

    def relative(self, file: str) -> str:
        """A path of the repository, however a runner wrote it; empty when it is none."""
        name = file.removeprefix("file://")
        if self.root and name.startswith(f"{self.root}/"):
            name = name[len(self.root) + 1 :]
        name = name.removeprefix("./")
        return name if name in self.paths else ""

    def node_id(self, file: str, classname: str, name: str) -> str:
        """The stable id of a test: pytest's node id, or the like, where a file of the repository is known."""
        if path := self.relative(file):
            module = path.removesuffix(".py").replace("/", ".")
            inner = classname.removeprefix(module).strip(".") if classname.startswith(module) else ""
            if not path.endswith(".py"):
                inner = classname if classname not in ("test", path) else ""
            titles = inner.split(".") if path.endswith(".py") else [inner]
            return "::".join([path, *filter(None, titles), name])
        if path := self.relative(classname):
            return f"{path}::{name}"
        outer, _, nested = classname.partition("$")
        if path := self._jvm.get(outer, ""):
            return "::".join([path, *filter(None, nested.split("$")), name])
        parts = classname.split(".") if classname else []
        for length in range(len(parts), 0, -1):
            candidate = "/".join(parts[:length]) + ".py"
            if candidate in self.paths:
                return "::".join([candidate, *parts[length:], name])
        return f"{classname}::{name}" if classname else name

    def place(self, case: TestCase) -> str:
        """Where a failed test lies: ``path:line`` if its message names one, else its file; empty when unknown."""
        own = case.id.partition("::")[0]
        own = own if own in self.paths else ""
        if own.endswith(".py"):
            return own
        for found in _PLACE.finditer(case.message):
            path = self._named(found[1], own or case.id.partition("::")[0])
            if path and (not own or path == own):
                return f"{path}:{found[2]}"
        return own

    def _named(self, name: str, near: str) -> str:
        """The file that a message means; a bare name is that of a file in the folder that `near` ends in."""
        if path := self.relative(name):
            return path
        called = [path for path in self.paths if basename(path) == basename(name)]
        fitting = [path for path in called if path == near or not dirname(path) or near.endswith(dirname(path))]
        return max(fitting, key=len) if fitting else ""


def merged(cases: Iterable[TestCase]) -> list[TestCase]:
    """Each id once, in the order first seen, with its highest verdict. Raises `ReportRefused` for too many."""
    found: dict[str, TestCase] = {}
    for case in cases:
        known = found.get(case.id)
        if known is None or case.verdict > known.verdict:
            found[case.id] = case
        if len(found) > MAX_CASES:
            raise ReportRefused(f"it has more than {MAX_CASES} test cases")
    return list(found.values())


def executed(cases: Sequence[TestCase]) -> int:
    """How many tests really ran."""
    return sum(case.verdict is not Verdict.SKIPPED for case in cases)
