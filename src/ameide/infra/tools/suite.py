"""Sets a suite up, runs it, and judges it: green needs exit code 0, a new JUnit file, tests that ran.

And none that failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ameide.errors import AmeideError
from ameide.infra.repo_config import RepoConfig, Suite
from ameide.infra.steps import CommandResult, Profile, StepFailed
from ameide.infra.tools.cases import Files, ReportRefused, TestCase, Verdict, executed
from ameide.infra.tools.commands import run_all
from ameide.infra.tools.findings import finding
from ameide.infra.tools.reports import Report
from ameide.infra.tools.repository import Checkout
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

    Empty when there was none to trust.
    """

    exit_code: int
    summary: str
    cases: Sequence[TestCase] = ()
    findings: Sequence[Finding] = ()
    junit: bytes = field(default=b"", repr=False)

    def checks(self) -> list[CheckResult]:
        """Each test as a check."""
        return [
            CheckResult(
                id=case.id,
                status=_STATUS[case.verdict],
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


async def run_suite(checkout: Checkout, config: RepoConfig, suite: Suite, paths: Sequence[str]) -> SuiteReport:
    """Set up and run. `paths` are the repository's files, by which test ids get their file."""
    failed = await run_all(checkout, config.setup, profile=Profile.VERIFY, timeout=config.setup_timeout)
    if failed is not None:
        problem = _suite_finding(f"setup:{failed.number}", f"Setting up the tests failed: {failed}")
        return SuiteReport(failed.exit_code or 1, f"The set-up of suite {suite.name} failed.", findings=[problem])
    report = Report(checkout, suite)
    files = Files.of(paths, str(checkout.root))
    checkout.log(f"$ {' '.join(suite.run)}")
    result = await checkout.run(
        suite.run, cwd=checkout.root, env=checkout.environment, timeout=suite.timeout, profile=Profile.VERIFY
    )
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
    return _judged(suite, result, cases, data, files)


def _how_to_report(suite: Suite) -> str:
    if suite.junit:
        return f"Have the suite write {suite.junit} as JUnit XML."
    return f"Run `{' '.join(suite.run)}` in the repository and read its output."


def _judged(suite: Suite, result: CommandResult, cases: Sequence[TestCase], junit: bytes, files: Files) -> SuiteReport:
    failures = [case for case in cases if case.verdict is Verdict.FAILED]
    ran = executed(cases)
    skipped = len(cases) - ran
    counts = f"{ran - len(failures)} passed, {len(failures)} failed, {skipped} skipped"
    summary = f"Suite {suite.name}: {counts}, exit code {result.exit_code}."
    findings = [_test_finding(case, files) for case in failures]
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
    return SuiteReport(result.exit_code, summary, cases, findings, junit)


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
