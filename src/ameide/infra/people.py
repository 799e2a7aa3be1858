"""People's commits on the branch of a run: they are the base of what comes next, and no push takes one away.

A person may push before an attempt, and while it works. What came before is checked out; on what came meanwhile the
attempt's own commit is put, or, where the two do not fit, the next iteration starts from the person's commit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ameide.infra import lfs
from ameide.infra.checkout import have
from ameide.infra.git import GitFailed, LeaseRefused
from ameide.infra.push_failure import push_failed
from ameide.infra.steps import StepContext, StepFailed
from ameide_core_proto.transformation.work.v1.work_pb import (
    FailureCode,
    Finding,
    FindingClass,
    Outputs,
    WhereToFix,
    WorkInputs,
)

# Somebody who pushes this often meanwhile is waited for by the next iteration.
_ROUNDS = 3


@dataclass(frozen=True)
class BranchNow:
    """Where the work's branch is at the remote, empty for no branch, and whether people added to what was known."""

    head: str
    added: bool


async def branch_now(ctx: StepContext, start: str) -> BranchNow:
    """How the branch is before the coder begins. Commits on top of `start` are taken as base.

    Raises `StepFailed(CHECKOUT_FAILED)`.
    """
    inputs = ctx.work.inputs or WorkInputs()
    try:
        head = await ctx.git.remote_head(inputs.branch)
        added = head not in ("", inputs.expected_branch_sha) and await _follows(ctx, start, head)
    except GitFailed as error:
        raise StepFailed(FailureCode.CHECKOUT_FAILED, f"repo_url: {error}. `ameide repo check` tests it.") from error
    if added:
        ctx.log(f"somebody pushed {head} to {inputs.branch}: it is the base of this attempt")
    return BranchNow(head if added else inputs.expected_branch_sha, added)


async def push_beside(
    ctx: StepContext, start: str, commit: str, branch: BranchNow, moved: Callable[[str], Finding]
) -> tuple[str, str]:
    """Push what the coder made of `start`, on top of what people pushed meanwhile.

    The commit that is on the branch now, and a sentence about the people's commits, or an empty one. Raises
    `StepFailed`, CONFLICT with what does not fit; its outputs say where the branch is.
    """
    kept = f"It stands on {branch.head[:12]}, which somebody pushed." if branch.added else ""
    expected = branch.head
    for _ in range(_ROUNDS):
        try:
            await push(ctx, commit, moved, expected)
        except StepFailed as failed:
            theirs = failed.outputs.commit_sha
            if failed.code is not FailureCode.CONFLICT or not theirs or not await _follows(ctx, start, theirs):
                raise
            commit = await _on_top(ctx, commit, theirs)
            expected, kept = theirs, f"It was put on {theirs[:12]}, which somebody pushed meanwhile."
            ctx.log(kept)
        else:
            return commit, kept
    raise StepFailed(
        FailureCode.CONFLICT,
        f"Somebody pushes to the branch again and again; it is at {expected[:12]}.",
        findings=[moved(f"the branch is at {expected}")],
        outputs=Outputs(commit_sha=expected, branch=(ctx.work.inputs or WorkInputs()).branch),
    )


async def push(ctx: StepContext, commit: str, moved: Callable[[str], Finding], expected: str | None = None) -> None:
    """Push to the work's branch if it is at `expected` (None: where the work says); `moved` words the finding if not.

    Raises `StepFailed` with CONFLICT, whose outputs say where the branch is now, or as `push_failed` says.
    """
    inputs = ctx.work.inputs or WorkInputs()
    known = inputs.expected_branch_sha if expected is None else expected
    try:
        await lfs.upload(ctx.git, f"{commit}^", commit)
        await ctx.git.push_with_lease(commit, inputs.branch, known)
    except LeaseRefused as error:
        # Whoever pushed is taken as base by the next iteration.
        actual = Outputs(commit_sha=error.actual, branch=inputs.branch)
        raise StepFailed(
            FailureCode.CONFLICT, f"Somebody pushed meanwhile: {error}.", findings=[moved(str(error))], outputs=actual
        ) from error
    except GitFailed as error:
        raise push_failed(error, inputs.branch) from error
    ctx.log(f"pushed {commit} to {inputs.branch}")


async def _follows(ctx: StepContext, start: str, head: str) -> bool:
    """Whether people only added: a branch that they set back is theirs to explain."""
    try:
        await have(ctx, head)
        return await ctx.git.is_ancestor(start, head)
    except GitFailed:
        return False


async def _on_top(ctx: StepContext, commit: str, theirs: str) -> str:
    """The coder's commit again, with theirs as its parent."""
    merged = await ctx.git.merge_tree(theirs, commit)
    if merged.conflicts:
        branch = (ctx.work.inputs or WorkInputs()).branch
        raise StepFailed(
            FailureCode.CONFLICT,
            f"Somebody pushed {theirs[:12]} meanwhile, and it changes {', '.join(merged.conflicts[:10])} in the same"
            " place. The next attempt starts there.",
            findings=[_in_the_same_place(path, theirs) for path in merged.conflicts[:50]],
            outputs=Outputs(commit_sha=theirs, branch=branch),
        )
    message = (await ctx.git.git("show", "-s", "--format=%B", commit)).text
    return await ctx.git.commit_tree(merged.tree, [theirs], message, {}, by_coder=True)


def _in_the_same_place(path: str, theirs: str) -> Finding:
    return Finding(
        class_=FindingClass.MERGE_CONFLICT,
        id=path[:512],
        what_failed=f"{path} was changed here and by {theirs[:12]}, pushed meanwhile, in the same place.",
        why_it_matters="What a person pushed to the branch is kept.",
        where_to_fix=WhereToFix.IMPLEMENTATION,
        fix_steps=[f"Start from {theirs[:12]}, and make the change fit on top of it."],
        location=path[:512],
    )
