"""Reads the Test Anything Protocol. Points of subtests count through the point that sums them up.

Points below a comment belong to the test that it names, as Tape prints them; a point without one is its own test.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ameide.infra.tools.cases import MAX_TEXT, ReportRefused, TestCase, Verdict, merged

_POINT = re.compile(r"(not )?ok\b(?:\s+(\d+))?\s*(?:-\s+)?(.*)")
_DIRECTIVE = re.compile(r"(.*?)\s*(?<!\\)#\s*(skip|todo)\b.*", re.IGNORECASE)
_TIME = re.compile(r"\s*#\s*time=[\d.]+\s*m?s\s*$")
_PLAN = re.compile(r"1\.\.(\d+)(?:\s*#.*)?")
_COUNT = re.compile(r"(?:tests|pass|fail|skip|todo|ok|failed \d+.*|time=.*)\b\s*\d*")


def read_tap(lines: Iterable[bytes]) -> list[TestCase]:
    """The tests, by their names. Raises `ReportRefused` when its plan is missing, or is not what was reported."""
    cases: list[TestCase] = []
    heading, points, plan = "", 0, -1
    for line in lines:
        text = line.decode("utf-8", "replace").rstrip()
        if point := _POINT.fullmatch(text):
            points += 1
            cases.append(_case(heading, point))
        elif planned := _PLAN.fullmatch(text):
            plan = int(planned[1])
        elif text.startswith("Bail out!"):
            cases.append(TestCase("Bail out!", Verdict.FAILED, text[:MAX_TEXT]))
        elif text.startswith("# ") and not _COUNT.fullmatch(text[2:].strip()):
            heading = text[2:].strip().removeprefix("Subtest: ")
        elif cases and text.startswith("  ") and cases[-1].verdict is Verdict.FAILED:
            cases[-1].message = f"{cases[-1].message}\n{text}"[:MAX_TEXT]
    if plan < 0:
        raise ReportRefused("it has no plan (`1..N`): the run did not come to its end")
    if plan != points:
        raise ReportRefused(f"its plan says {plan} tests, and {points} are reported")
    return merged(cases)


def _case(heading: str, point: re.Match[str]) -> TestCase:
    description = _TIME.sub("", point[3])
    failed = bool(point[1])
    verdict = Verdict.FAILED if failed else Verdict.PASSED
    if directive := _DIRECTIVE.fullmatch(description):
        description = directive[1]
        verdict = Verdict.SKIPPED if failed or directive[2].lower() == "skip" else verdict
    id = heading or description or f"{point[2] or 'a point'}"
    return TestCase(id[:512], verdict, description if failed else "")
