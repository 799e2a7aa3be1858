"""Where a suite's report comes from: JUnit files that are new, or what it printed.

Everything may have been written by hostile code: files are read without following links, and bounded in all.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import assert_never
from xml.etree import ElementTree

from ameide.infra.path_rules import matches
from ameide.infra.repo_config import Output, Suite
from ameide.infra.steps import CommandResult
from ameide.infra.tools.cases import MAX_BYTES, Files, ReportRefused, TestCase, Verdict, merged
from ameide.infra.tools.go_json import read_go_json
from ameide.infra.tools.jest_json import read_jest_json
from ameide.infra.tools.junit import read_junit
from ameide.infra.tools.repository import Checkout
from ameide.infra.tools.tap import read_tap

MAX_FILES = 5000
_LINE = 8 << 20

Identity = tuple[int, int, int]


class Report:
    """The report of a suite that is about to run in a checkout. Make it before, and `read` it afterwards."""

    def __init__(self, checkout: Checkout, suite: Suite) -> None:
        self._checkout, self._suite = checkout, suite
        self._before = {path: _identity(path) for path in self._named()}

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return self._suite.junit or f"the suite's output ({self._suite.output})"

    def read(self, result: CommandResult, files: Files) -> tuple[list[TestCase], bytes]:
        """The test cases, and the JUnit file that becomes evidence.

        Raises `ReportRefused`, `WorkspaceRefused`, or `OSError` for what cannot be trusted or read.
        """
        if self._suite.output is not None:
            cases = printed(self._suite.output, _lines(result.log), files)
            return cases, as_junit(self._suite.name, cases)
        found = self._named()
        fresh = [path for path in found if _identity(path) != self._before.get(path)]
        if not fresh:
            raise ReportRefused("it was there before the suite ran and is unchanged" if found else "it is missing")
        if len(found) > MAX_FILES:
            raise ReportRefused(f"{self.name} names more than {MAX_FILES} files")
        documents: list[bytes] = []
        for path in fresh:
            documents.append(self._checkout.read(path))
            if sum(map(len, documents)) > MAX_BYTES:
                raise ReportRefused(f"it has more than {MAX_BYTES} bytes in all")
        cases = merged(case for document in documents for case in read_junit(document, files))
        return cases, documents[0] if len(documents) == 1 else as_junit(self._suite.name, cases)

    def _named(self) -> list[Path]:
        """The files that `junit` names and that are there, in order."""
        root, pattern = self._checkout.root, self._suite.junit
        if not pattern:
            return []
        if "*" not in pattern:
            return [root / pattern] if _identity(root / pattern) else []
        found: list[Path] = []
        for folder, folders, names in os.walk(root, followlinks=False):
            folders[:] = sorted(name for name in folders if name not in (".git", "node_modules"))
            where = Path(folder)
            whole = [where / name for name in sorted(names)]
            found += [path for path in whole if matches(pattern, path.relative_to(root).as_posix())]
            if len(found) > MAX_FILES:
                break
        return found


def printed(output: Output, lines: Iterable[bytes], files: Files) -> list[TestCase]:
    """The test cases in what a suite printed. Raises `ReportRefused`."""
    match output:
        case Output.GO_JSON:
            return read_go_json(lines)
        case Output.JEST_JSON:
            return read_jest_json(lines, files)
        case Output.TAP:
            return read_tap(lines)
        case _:
            assert_never(output)


def as_junit(name: str, cases: Iterable[TestCase]) -> bytes:
    """Test cases as a JUnit document, for those who read evidence."""
    suite = ElementTree.Element("testsuite", name=name)
    for case in cases:
        group, _, own = case.id.rpartition("::")
        element = ElementTree.SubElement(
            suite, "testcase", classname=_plain(group), name=_plain(own), time=f"{case.seconds:.3f}"
        )
        if case.verdict is not Verdict.PASSED:
            kind = "failure" if case.verdict is Verdict.FAILED else "skipped"
            ElementTree.SubElement(element, kind, message=_plain(case.message))
    return ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)


def _plain(text: str) -> str:
    """Text with nothing in it that XML cannot hold."""
    return (
        "".join(
            letter if letter >= " " or letter in "\t\n" else "�"
            for letter in text
            if not "\ud800" <= letter <= "\udfff"
        )
        .replace("\ufffe", "�")
        .replace("\uffff", "�")
    )


def _lines(log: Path) -> Iterator[bytes]:
    """The lines of a log; the parts of one that is longer than 8 MiB count as lines."""
    with log.open("rb") as file:
        while line := file.readline(_LINE):
            yield line


def _identity(path: Path) -> Identity | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
