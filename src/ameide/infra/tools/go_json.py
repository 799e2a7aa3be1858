"""Reads what `go test -json` prints. Lines that are none of its events, such as what a build says, are passed over."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, cast

from ameide.infra.tools.cases import MAX_TEXT, ReportRefused, TestCase, Verdict, merged

_VERDICTS = {"pass": Verdict.PASSED, "fail": Verdict.FAILED, "skip": Verdict.SKIPPED}
_FRAME = re.compile(r"\s*(?:=== (?:RUN|PAUSE|CONT|NAME)\b|--- (?:PASS|SKIP)\b).*")


def read_go_json(lines: Iterable[bytes]) -> list[TestCase]:
    """The tests, ``package::Test/sub``; a package that failed by itself is one, ``package``. Raises `ReportRefused`."""
    said: defaultdict[str, str] = defaultdict(str)
    cases: list[TestCase] = []
    packages: dict[str, str] = {}
    begun: set[str] = set()
    for event in filter(None, map(_event, lines)):
        action, package = str(event.get("Action", "")), str(event.get("Package") or event.get("ImportPath") or "")
        test = str(event.get("Test", ""))
        id = f"{package}::{test}" if test else package
        if action in ("output", "build-output"):
            text = str(event.get("Output", ""))
            if not _FRAME.fullmatch(text.rstrip("\n")):
                said[id] = (said[id] + text)[-MAX_TEXT:]
        elif test and action == "run":
            begun.add(id)
        elif test and action in _VERDICTS:
            begun.discard(id)
            cases.append(TestCase(id[:512], _VERDICTS[action], said.pop(id, "").strip(), _seconds(event)))
        elif not test and action in _VERDICTS:
            packages[package] = action
            said[package] = said.get(str(event.get("FailedBuild", "")), "") + said[package]
    if not packages:
        raise ReportRefused("it has no event of `go test -json` that ends a package")
    # A test that was running when its package ended took it down.
    cases += [TestCase(id[:512], Verdict.FAILED, said[id].strip() or "it did not end") for id in sorted(begun)]
    failed = {case.id.partition("::")[0] for case in cases if case.verdict is Verdict.FAILED}
    cases += [
        TestCase(package[:512], Verdict.FAILED, said[package].strip())
        for package, action in packages.items()
        if action == "fail" and package not in failed
    ]
    return merged(cases)


def _event(line: bytes) -> dict[str, Any] | None:
    start = line.find(b'{"')
    if start < 0 or b'"Action":' not in line:
        return None
    try:
        event: object = json.loads(line[start:])
    except ValueError:
        return None
    return cast(dict[str, Any], event) if isinstance(event, dict) else None


def _seconds(event: dict[str, Any]) -> float:
    elapsed: object = event.get("Elapsed", 0)
    return min(max(float(elapsed), 0.0), 1e6) if isinstance(elapsed, int | float) else 0.0
