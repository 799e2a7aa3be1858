"""Reads JUnit XML that hostile code may have written.

No document type, so no entity can be declared; bounded in bytes, depth and test cases. What it says is only ever used
to find something red: a green verdict also needs the exit code (`ameide.infra.tools.suite`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.parsers import expat

from ameide.infra.tools.cases import MAX_BYTES, MAX_CASES, MAX_TEXT, Files, ReportRefused, TestCase, Verdict

MAX_DEPTH = 30


def read_junit(data: bytes, files: Files) -> list[TestCase]:
    """The test cases in the order of the report, each id once. Raises `ReportRefused`."""
    if len(data) > MAX_BYTES:
        raise ReportRefused(f"it has {len(data)} bytes, more than {MAX_BYTES}")
    reader = _Reader(files)
    try:
        reader.parse(data)
    except expat.ExpatError as error:
        raise ReportRefused(f"it is no well-formed XML ({error})") from error
    return list(reader.cases.values())


@dataclass
class _Reader:
    files: Files
    cases: dict[str, TestCase] = field(default_factory=dict[str, TestCase])
    _depth: int = 0
    _case: TestCase | None = None
    _text: list[str] = field(default_factory=list[str])
    _listening: bool = False

    def parse(self, data: bytes) -> None:
        parser = expat.ParserCreate()
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        parser.EntityDeclHandler = self._refuse_doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.Parse(data, True)

    def _refuse_doctype(self, *_declaration: object) -> None:
        raise ReportRefused("it declares a document type or an entity, which no JUnit report needs")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ReportRefused(f"its elements nest deeper than {MAX_DEPTH}")
        if self._depth == 1 and name not in {"testsuites", "testsuite"}:
            raise ReportRefused(f"its root is <{name[:40]}>, not <testsuites> or <testsuite>")
        if name == "testcase":
            if len(self.cases) >= MAX_CASES:
                raise ReportRefused(f"it has more than {MAX_CASES} test cases")
            self._case = self._new_case(attributes)
        elif self._case is not None and name in {"failure", "error", "skipped"}:
            self._case.verdict = (
                max(self._case.verdict, Verdict.FAILED) if name != "skipped" else self._skipped(self._case)
            )
            self._case.message = self._case.message or attributes.get("message", "")[:MAX_TEXT]
            self._listening = name != "skipped"
            self._text.clear()

    def _skipped(self, case: TestCase) -> Verdict:
        return Verdict.FAILED if case.verdict is Verdict.FAILED else Verdict.SKIPPED

    def _new_case(self, attributes: dict[str, str]) -> TestCase:
        file, classname, name = (attributes.get(key, "") for key in ("file", "classname", "name"))
        try:
            seconds = min(max(float(attributes.get("time", "0")), 0.0), 1e6)
        except ValueError:
            seconds = 0.0
        return TestCase(self.files.node_id(file, classname, name)[:512] or "unnamed", seconds=seconds)

    def _end(self, name: str) -> None:
        self._depth -= 1
        if name in {"failure", "error"} and self._case is not None and self._listening:
            detail = "".join(self._text).strip()
            self._case.message = "\n".join(filter(None, [self._case.message, detail[-MAX_TEXT:]]))
            self._listening = False
        elif name == "testcase" and self._case is not None:
            known = self.cases.get(self._case.id)
            if known is None or self._case.verdict > known.verdict:
                self.cases[self._case.id] = self._case
            self._case = None

    def _characters(self, data: str) -> None:
        if self._listening and len(self._text) < 10_000:
            self._text.append(data)
