"""Verifies one commit: the contract gate, the suite, and what became of the tests since the base.

VERIFY and PREFLIGHT share it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from ameide.infra.checkout import check_out
from ameide.infra.repo_config import CommitTree, RepoConfig, Suite
from ameide.infra.secrets_in_change import likely
from ameide.infra.steps import StepContext
from ameide.infra.tools import criteria
from ameide.infra.tools.criteria import named_criteria
from ameide.infra.tools.dependencies import dependencies
from ameide.infra.tools.generated import CHECK, drift, drift_finding
from ameide.infra.tools.package_secrets import with_secrets
from ameide.infra.tools.repository import checkout_of, config_at
from ameide.infra.tools.suite import SuiteReport, run_suite, suite_of
from ameide.infra.tools.tampering import rewritten, tampering
from ameide.infra.tools.weakened_tests import changed_test_files, weakened
from ameide_core_proto.transformation.work.v1.work_pb import CheckResult, CheckStatus, Finding

VERIFIED_PATCH = "verified.patch"
"""The artifact with the change from base to the verified commit; its `patch_hash` is the diff hash of the result."""


@dataclass(frozen=True)
class Verification:
    """`red` stands in the way; `noticed` are findings on a green result, for the gate; `flaky` are for it alone."""

    summary: str
    exit_code: int
    red: Sequence[Finding]
    noticed: Sequence[Finding] = ()
    flaky: Sequence[Finding] = ()


async def verify_commit(ctx: StepContext, base_sha: str, commit_sha: str) -> Verification:
    """Verify the checked-out `commit_sha` by the configuration of `base_sha`; evidence gets JUnit, checks.

    And the list of changed tests.

    Raises `StepFailed` when the configuration is malformed, or a tool is missing.
    """
    config = await config_at(ctx, base_sha)
    suite = suite_of(config, ctx.work.verification_suite_ref)
    head = CommitTree(ctx.git, commit_sha, ctx.work.workdir)
    kept = await dependencies(ctx, base_sha, config)
    await kept.lend()
    contract = await _contract_gate(ctx, config, commit_sha)
    report = await run_suite(with_secrets(ctx, checkout_of(ctx)), config, suite, await head.paths())
    ctx.evidence.describe("ameide verify", "", suite.run, report.exit_code)
    for check in report.checks():
        ctx.evidence.add_check(check)
    if report.junit:
        ctx.evidence.add_bytes("junit.xml", report.junit, "application/xml")
    if base_sha == commit_sha and not contract and not report.findings:
        await kept.keep()
    noticed, touched = await _tests_since(ctx, base_sha, commit_sha, config, suite, report)
    summary = " ".join(filter(None, [report.summary, *(found.what_failed for found in contract), touched]))
    return Verification(summary, report.exit_code, [*contract, *report.findings], noticed, report.noticed)


async def _contract_gate(ctx: StepContext, config: RepoConfig, commit_sha: str) -> list[Finding]:
    if config.generate is None:
        return []
    changed = await drift(checkout_of(ctx), config.generate, clean=True)
    # A generator is steered by files of the change; the suite gets the commit, not what it left.
    await check_out(ctx, commit_sha)
    status = CheckStatus.FAILED if changed else CheckStatus.PASSED
    ctx.evidence.add_check(CheckResult(id=CHECK, status=status, message=", ".join(changed[:20])))
    return [drift_finding(changed)] if changed else []


async def _tests_since(
    ctx: StepContext, base_sha: str, commit_sha: str, config: RepoConfig, suite: Suite, report: SuiteReport
) -> tuple[list[Finding], str]:
    """Findings about the tests, and a sentence that names the changed test files."""
    if base_sha == commit_sha:
        return [], ""
    workdir = ctx.work.workdir.strip("/")
    prefix = f"{workdir}/" if workdir else ""
    written = await ctx.git.rewritten_paths()
    during = [
        path for path in (name.removeprefix(prefix) for name in written) if changed_test_files(suite, {path: "M"})
    ]
    changes = await ctx.git.changed_paths(base_sha, commit_sha)
    changed = {change.path.removeprefix(prefix): change.status for change in changes if change.path.startswith(prefix)}
    base, head = (CommitTree(ctx.git, sha, ctx.work.workdir) for sha in (base_sha, commit_sha))
    files = changed_test_files(suite, changed)
    ctx.evidence.add_text("changed-tests.txt", "".join(f"{changed[path]} {path}\n" for path in files))
    naming = await named_criteria(base, head, changed, files, report.cases)
    ctx.evidence.add_text(criteria.ARTIFACT, json.dumps(naming, indent=1), "application/json")
    ctx.evidence.add_bytes(VERIFIED_PATCH, await ctx.git.patch(base_sha, commit_sha), "text/x-patch")
    sentence = f"Changed test files: {', '.join(files[:10])}{' …' if len(files) > 10 else ''}." if files else ""
    findings = [
        *await weakened(base, head, changed, suite, report.cases),
        *rewritten(during),
        *await tampering(base, head, changed, suite, config),
        *await likely(ctx.git, base_sha, commit_sha),
    ]
    return findings, sentence
