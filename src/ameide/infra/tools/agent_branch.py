"""Commits what a tool changed and pushes it to the run's branch; with nothing changed the commit stays what it was."""

from __future__ import annotations

from ameide.infra.coding import CHANGE_TRAILER, WORK_TRAILER, refuse_secrets
from ameide.infra.people import push
from ameide.infra.steps import StepContext, StepFailed
from ameide.infra.tools.findings import finding
from ameide.infra.tools.repository import inputs_of
from ameide_core_proto.transformation.work.v1.work_pb import (
    FailureCode,
    Finding,
    FindingClass,
    Outputs,
    WhereToFix,
    WorkResult,
)


async def pushed_before(ctx: StepContext, start: str) -> WorkResult | None:
    """The result of a lost attempt of this work that got as far as its push; None when there was none."""
    inputs = inputs_of(ctx)
    head = await ctx.git.remote_head(inputs.branch) if inputs.branch else ""
    if not head or head in {inputs.expected_branch_sha, start} or not await ctx.git.is_ancestor(start, head):
        return None
    if await ctx.git.find_trailer(head, WORK_TRAILER, ctx.work.work_request_id, since=start) != head:
        return None
    ctx.log(f"an earlier attempt of this work already pushed {head}")
    return await _result(ctx, start, head, "An earlier attempt of this work already pushed its commit.")


async def commit_and_push(ctx: StepContext, start: str, subject: str) -> WorkResult:
    """Commit the working tree on `start` and push it with the work's lease.

    Raises `StepFailed`, CONFLICT when the branch moved.
    """
    if strange := ctx.workspace.inspect_tree():
        raise StepFailed(
            FailureCode.TOOL_FAILED,
            f"The tool left what is not a plain file: {', '.join(strange[:5])}. Have it write plain files.",
        )
    trailers = {CHANGE_TRAILER: ctx.work.change_id, WORK_TRAILER: ctx.work.work_request_id}
    commit = await ctx.git.commit_all(ctx.redactor.text(subject), trailers)
    if not commit:
        return WorkResult(
            summary=f"{subject}: nothing to change.",
            outputs=Outputs(commit_sha=start, branch=inputs_of(ctx).branch, base_sha=ctx.work.base_sha, unchanged=True),
        )
    await refuse_secrets(ctx, start, commit)
    await _push(ctx, commit)
    return await _result(ctx, start, commit, f"{subject}: committed {commit[:12]}.")


async def _push(ctx: StepContext, commit: str) -> None:
    inputs = inputs_of(ctx)
    if not inputs.branch:
        raise StepFailed(
            FailureCode.TOOL_FAILED, "inputs.branch: the step has something to push and no branch. Request it with one."
        )
    await push(ctx, commit, _moved)


def _moved(what: str) -> Finding:
    return finding(FindingClass.MERGE_CONFLICT, "branch_moved", what, where=WhereToFix.OPS)


async def _result(ctx: StepContext, start: str, commit: str, summary: str) -> WorkResult:
    base = ctx.work.base_sha or start
    changes = await ctx.git.changed_paths(start, commit)
    ctx.evidence.add_bytes("change.patch", await ctx.git.diff(start, commit), "text/x-patch")
    return WorkResult(
        summary=summary,
        outputs=Outputs(
            commit_sha=commit,
            branch=inputs_of(ctx).branch,
            base_sha=base,
            diff_hash=await ctx.git.diff_hash(base, commit),
            changed_paths=[change.path for change in changes],
        ),
    )
