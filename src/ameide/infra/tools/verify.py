"""VERIFY: the tests of one commit, run as a user that has no right but its own.

Judged by the configuration of the base commit.
"""

from __future__ import annotations

from ameide.infra.checkout import check_out
from ameide.infra.steps import StepContext, StepFailed
from ameide.infra.tools.verification import verify_commit
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode, Outputs, WorkResult


async def verify(ctx: StepContext) -> WorkResult:
    """Green: a result whose findings (deleted or weakened tests) are for the gate.

    Red: VERIFICATION_FAILED with a finding per test.
    """
    commit = await check_out(ctx, ctx.work.commit_sha)
    base = ctx.work.base_sha or commit
    outputs = Outputs(commit_sha=commit, base_sha=base)
    verification = await verify_commit(ctx, base, commit)
    if base != commit:
        # The patch that acceptance is about: from the run's base, or from the main that a merge candidate stands on.
        outputs.diff_hash = await ctx.git.diff_hash(base, commit)
    if verification.red:
        raise StepFailed(
            FailureCode.VERIFICATION_FAILED,
            f"{commit[:12]} is red. {verification.summary}",
            findings=[*verification.red, *verification.noticed],
            outputs=outputs,
            exit_code=verification.exit_code or 1,
        )
    # A coder could do nothing about chance: only the gate is told of flaky tests.
    return WorkResult(
        summary=f"{commit[:12]} is green. {verification.summary}",
        outputs=outputs,
        findings=[*verification.noticed, *verification.flaky],
    )
