"""Sets a suite up, runs it, and judges it: green needs exit code 0, a new JUnit file, tests that ran.

And none that failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ameide.errors import AmeideError
from ameide.infra.repo_config import RepoConfig, Suite
from ameide.infra.steps import CommandResult, Profile, StepFailed
from ameide.infra.tools.cases import Files, ReportRefused, TestCase, Verdict, executed
from ameide.infra.tools.commands import run_all
from ameide.infra.tools.findings import finding
from ameide.infra.tools.reports import Report
from ameide.infra.tools.repository import Checkout
from ameide.infra.tools.rerun import again, shown
from ameide.infra.tools.silence import WentSilent, run_heard
from ameide_core_proto.transformation.work.v1.work_pb import (
    CheckResult,
    CheckStatus,
    FailureCode,
    Finding,
    FindingClass,
    WhereToFix,
)

_STATUS = {Verdict.PASSED: CheckStatus.PASSED, Verdict.FAILED: CheckStatus.FAILED, Verdict.SKIPPED: CheckStatus.SKIPPED}
_TAIL = 1500


@dataclass(frozen=True)
class SuiteReport:
    """What a suite said. Red when there are findings; `junit` is the file's bytes.

    Empty when there was none to trust. `noticed` are findings that do not stand in the way: the flaky tests.
    """

    exit_code: int
    summary: str
    cases: Sequence[TestCase] = ()
    findings: Sequence[Finding] = ()
    junit: bytes = field(default=b"", repr=False)
    noticed: Sequence[Finding] = ()
    flaky: frozenset[str] = frozenset()

    def checks(self) -> list[CheckResult]:
        """Each test as a check."""
        return [
            CheckResult(
                id=case.id,
                status=CheckStatus.FLAKY if case.id in self.flaky else _STATUS[case.verdict],
                message=case.message[:2000],
                duration_ms=int(case.seconds * 1000),
            )
            for case in self.cases
        ]


def suite_of(config: RepoConfig, name: str) -> Suite:
    """The named suite, `default` for no name. Raises `StepFailed(TOOL_FAILED)` for one that the configuration lacks."""
    suite = config.suites.get(name or "default")
    if suite is None:
        raise StepFailed(
            FailureCode.TOOL_FAILED,
            f"ameide.yaml verify.suites: there is no suite {name or 'default'!r}."
            f" Known: {', '.join(sorted(config.suites))}.",
            exit_code=2,
        )
    return suite


@dataclass(frozen=True)
class _Run:
    """One run of the suite whose report can be read."""

    result: CommandResult
    cases: Sequence[TestCase]
    junit: bytes

    def of(self, verdict: Verdict) -> dict[str, TestCase]:
        return {case.id: case for case in self.cases if case.verdict is verdict}

    @property
    def agrees(self) -> bool:
        """Whether exit code and report say the same."""
        return bool(self.of(Verdict.FAILED)) == bool(self.result.exit_code)


async def run_suite(checkout: Checkout, config: RepoConfig, suite: Suite, paths: Sequence[str]) -> SuiteReport:
    """Set up and run; what failed runs once more. `paths` are the repository's files, by which ids get their file."""
    failed = await run_all(checkout, config.setup, profile=Profile.VERIFY, timeout=config.setup_timeout)
    if failed is not None:
        problem = _suite_finding(f"setup:{failed.number}", f"Setting up the tests failed: {failed}")
        return SuiteReport(failed.exit_code or 1, f"The set-up of suite {suite.name} failed.", findings=[problem])
    files = Files.of(paths, str(checkout.root))
    first = await _run(checkout, suite, files)
    if isinstance(first, SuiteReport):
        return first
    command = again(suite, list(first.of(Verdict.FAILED).values())) if first.agrees else None
    if command is None:
        return _judged(suite, first, files)
    checkout.log("What failed is run once more at the same commit.")
    second = await _run(checkout, replace(suite, run=command), files)
    return _judged(suite, first, files, None if isinstance(second, SuiteReport) else second)


async def _run(checkout: Checkout, suite: Suite, files: Files) -> _Run | SuiteReport:
    """Run it once; the report of what went wrong when there is nothing to read."""
    report = Report(checkout, suite)
    checkout.log(f"$ {shown(suite.run)}")
    try:
        result = await run_heard(
            checkout, suite.run, timeout=suite.timeout, silent_for=suite.silent_for, profile=Profile.VERIFY
        )
    except WentSilent:
        what = f"The suite printed nothing for {suite.silent_for} s (`silent_for`) and was ended; see its log."
        problem = _suite_finding(f"suite:{suite.name}", what, "Find what it waited for, or have it say what it does.")
        return SuiteReport(1, f"Suite {suite.name} went silent.", findings=[problem])
    if result.timed_out:
        problem = _suite_finding(
            f"suite:{suite.name}", f"The suite was not done after {suite.timeout} s: {result.output_tail[-_TAIL:]}"
        )
        return SuiteReport(result.exit_code or 1, f"Suite {suite.name} ran out of time.", findings=[problem])
    try:
        cases, data = report.read(result, files)
    except (ReportRefused, AmeideError, OSError) as error:
        tail = result.output_tail[-_TAIL:]
        what = f"{report.name} cannot be trusted: {error}. The suite exited {result.exit_code}: {tail}"
        return SuiteReport(
            result.exit_code or 1,
            f"Suite {suite.name} exited {result.exit_code} without a report that can be read.",
            findings=[_suite_finding(f"suite:{suite.name}", what, _how_to_report(suite))],
        )
    return _Run(result, cases, data)


def _how_to_report(suite: Suite) -> str:
    if suite.junit:
        return f"Have the suite write {suite.junit} as JUnit XML."
    return f"Run `{shown(suite.run)}` in the repository and read its output."


def _judged(suite: Suite, first: _Run, files: Files, second: _Run | None = None) -> SuiteReport:
    result, failures = first.result, first.of(Verdict.FAILED)
    flaky = _flipped(first, second) if second is not None else []
    failing = [case for id, case in failures.items() if id not in flaky]
    ran = executed(first.cases)
    skipped = len(first.cases) - ran
    counts = f"{ran - len(failures)} passed, {len(failing)} failed, {skipped} skipped"
    counts += f", {len(flaky)} flaky ({', '.join(flaky[:5])})" if flaky else ""
    exit_code = 0 if flaky and not failing else result.exit_code
    summary = f"Suite {suite.name}: {counts}, exit code {exit_code}."
    findings = [_test_finding(case, files) for case in failing]
    if not failures and result.exit_code:
        what = f"No test is reported as failed, but the suite exited {result.exit_code}: {result.output_tail[-_TAIL:]}"
        findings.append(_suite_finding(f"suite:{suite.name}", what))
    elif failures and not result.exit_code:
        findings.append(
            _suite_finding(f"suite:{suite.name}", "The suite exited 0 although its report has failed tests.")
        )
    if not ran:
        findings.append(
            _suite_finding(f"suite:{suite.name}", f"No test ran ({skipped} skipped).", "Have the suite find its tests.")
        )
    noticed = [_flaky_finding(id, failures.get(id), files) for id in flaky]
    return SuiteReport(exit_code, summary, first.cases, findings, first.junit, noticed, frozenset(flaky))


def _flipped(first: _Run, second: _Run) -> list[str]:
    """The tests that ended otherwise in a second run at the same commit; none when that run cannot be believed."""
    if not second.agrees:
        return []
    passed, failed = second.of(Verdict.PASSED), second.of(Verdict.FAILED)
    recovered = [id for id in first.of(Verdict.FAILED) if id in passed]
    return [*recovered, *(id for id in first.of(Verdict.PASSED) if id in failed)]


def _flaky_finding(id: str, case: TestCase | None, files: Files) -> Finding:
    return finding(
        FindingClass.TEST_FAILURE,
        f"flaky:{id}",
        f"{id} is flaky: it failed and passed at the same commit. {case.message.strip() if case else ''}".strip(),
        why="What it says of the change depends on chance, so it neither stands in the way nor counts for it.",
        where=WhereToFix.OPS,
        steps=["Look at what the change does to it before accepting, and make the test reliable."],
        location=files.place(case) if case else "",
    )


def _test_finding(case: TestCase, files: Files) -> Finding:
    return finding(
        FindingClass.TEST_FAILURE,
        case.id,
        f"{case.id} failed: {case.message.strip()}",
        why="A change is accepted only when every test passes.",
        steps=["Make the test pass by correcting the implementation, not the test."],
        location=files.place(case),
    )


def _suite_finding(
    id: str, what: str, step: str = "Run `ameide verify` in the repository and read its output."
) -> Finding:
    return finding(
        FindingClass.TEST_FAILURE,
        id,
        what,
        why="Without a trustworthy report nothing is green.",
        steps=[step],
        where=WhereToFix.IMPLEMENTATION,
    )
