"""PREFLIGHT: is the base green?

A change on a red base cannot be told good from bad, so no coder is asked before this is known.
"""

from __future__ import annotations

from ameide.infra.checkout import check_out
from ameide.infra.git import GitFailed
from ameide.infra.steps import StepContext, StepFailed
from ameide.infra.tools.findings import blocked, finding
from ameide.infra.tools.repository import inputs_of
from ameide.infra.tools.verification import verify_commit
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode, FindingClass, Outputs, WhereToFix, WorkResult


async def preflight(ctx: StepContext) -> WorkResult:
    """Verify the target branch's head (or `commit_sha`).

    Red: VERIFICATION_FAILED, every finding is `blocked_by_repo_health`.
    """
    base = await check_out(ctx, ctx.work.commit_sha or await _target_head(ctx))
    outputs = Outputs(commit_sha=base, base_sha=base)
    try:
        verification = await verify_commit(ctx, base, base)
    except StepFailed as failure:
        findings = failure.findings or [
            finding(FindingClass.BLOCKED_BY_REPO_HEALTH, "preflight", failure.summary, where=WhereToFix.OPS)
        ]
        raise StepFailed(
            failure.code, failure.summary, findings=blocked(findings), outputs=outputs, exit_code=failure.exit_code
        ) from failure
    if verification.red:
        raise StepFailed(
            FailureCode.VERIFICATION_FAILED,
            f"The base {base[:12]} is already red. {verification.summary}",
            findings=blocked(verification.red),
            outputs=outputs,
            exit_code=verification.exit_code or 1,
        )
    return WorkResult(
        summary=f"The base {base[:12]} is green. {verification.summary}",
        outputs=outputs,
        findings=list(verification.flaky),
    )


async def _target_head(ctx: StepContext) -> str:
    """The head of the target branch; empty leaves the choice to the checkout.

    Which takes the remote's default branch.
    """
    branch = inputs_of(ctx).target_branch
    if not branch:
        return ""
    try:
        await ctx.git.open()
        head = await ctx.git.remote_head(branch)
    except GitFailed as error:
        raise StepFailed(
            FailureCode.CHECKOUT_FAILED, f"repo_url: {error}. `ameide repo check` tests the rights."
        ) from error
    if not head:
        raise StepFailed(
            FailureCode.CHECKOUT_FAILED,
            f"target_branch: the repository has no branch {branch}. Push it, or name another.",
        )
    return head
