"""Reads what `jest --json` prints: one line with everything, among what the tests themselves print."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

from ameide.infra.tools.cases import MAX_TEXT, Files, ReportRefused, TestCase, Verdict, merged

_VERDICTS = {"passed": Verdict.PASSED, "failed": Verdict.FAILED}


def read_jest_json(lines: Iterable[bytes], files: Files) -> list[TestCase]:
    """The tests, ``file::title::name``; a file that failed by itself is one. Raises `ReportRefused`."""
    answers = [line[line.find(b'{"num') :] for line in lines if b'{"num' in line and b'"testResults":' in line]
    if not answers:
        raise ReportRefused("it has no line with the results of `jest --json`")
    try:
        results = cast(list[dict[str, Any]], json.loads(answers[-1])["testResults"])
        return merged(case for result in results for case in _cases(result, files))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ReportRefused(f"its results are not those of `jest --json` ({error!r})") from error


def _cases(result: dict[str, Any], files: Files) -> list[TestCase]:
    name = str(result.get("name", ""))
    file = files.relative(name) or name
    cases = [_case(file, test) for test in cast(list[dict[str, Any]], result.get("assertionResults", []))]
    if result.get("status") == "failed" and not any(case.verdict is Verdict.FAILED for case in cases):
        cases.append(TestCase(file[:512], Verdict.FAILED, str(result.get("message", ""))[-MAX_TEXT:]))
    return cases


def _case(file: str, test: dict[str, Any]) -> TestCase:
    titles = [str(title) for title in cast(list[object], test.get("ancestorTitles", []))]
    message = "\n".join(str(said) for said in cast(list[object], test.get("failureMessages", [])))
    duration: object = test.get("duration")
    seconds = float(duration) / 1000 if isinstance(duration, int | float) else 0.0
    verdict = _VERDICTS.get(str(test.get("status", "")), Verdict.SKIPPED)
    return TestCase("::".join([file, *titles, str(test["title"])])[:512], verdict, message[:MAX_TEXT], seconds)
