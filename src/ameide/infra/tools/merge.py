"""MERGE: prepare a candidate on the current main, and push the verified candidate by compare-and-swap.

What is pushed is the commit that was verified, or nothing: preparing writes only the candidate branch, pushing moves
main from the commit the candidate stands on, and from no other.
"""

from __future__ import annotations

from datetime import UTC, datetime

from ameide.infra.checkout import fetch_branches, have
from ameide.infra.coding import CHANGE_TRAILER
from ameide.infra.git import GitFailed, LeaseRefused
from ameide.infra.push_failure import push_failed
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

MAIN_MOVED, BRANCH_MOVED = "main_moved", "branch_moved"


async def merge(ctx: StepContext) -> WorkResult:
    """`inputs.push` false: prepare. True: push. Raises `StepFailed`, CONFLICT with what is in conflict."""
    try:
        await ctx.git.open()
        await fetch_branches(ctx)
        main = await ctx.git.remote_head(_target(ctx))
        agents = inputs_of(ctx).agent_branch
        # Also where the run expects none there, since it took what the run before had made: somebody may have pushed.
        branch = await ctx.git.remote_head(agents) if agents else ""
    except GitFailed as error:
        raise StepFailed(
            FailureCode.CHECKOUT_FAILED, f"repo_url: {error}. `ameide repo check` tests the rights."
        ) from error
    if not main:
        raise StepFailed(
            FailureCode.CHECKOUT_FAILED,
            f"target_branch: the repository has no branch {_target(ctx)}. Push it, or name another.",
        )
    if not inputs_of(ctx).push:
        _need_unmoved(ctx, branch)
        return await _prepare(ctx, main)
    return await _push(ctx, main, branch)


async def _prepare(ctx: StepContext, main: str) -> WorkResult:
    head = await _here(ctx, ctx.work.commit_sha, "commit_sha")
    # Asked in this order, the usual answer needs little of a long history.
    if head != main and await ctx.git.is_ancestor(main, head):
        candidate, summary = head, "The target branch has not moved: the candidate is the accepted commit."
    elif await ctx.git.is_ancestor(head, main):
        return _candidate(
            main, main, inputs_of(ctx).accepted_diff_hash, "The change is already part of the target branch."
        )
    else:
        outcome = await ctx.git.merge(
            main, head, _message(ctx), {CHANGE_TRAILER: ctx.work.change_id}, date=await _latest(ctx, main, head)
        )
        if outcome.conflicts:
            names = ", ".join(outcome.conflicts[:10])
            raise StepFailed(
                FailureCode.CONFLICT,
                f"Merging into {_target(ctx)} at {main[:12]} conflicts in {names}.",
                findings=[await _conflict(ctx, path, head, main) for path in outcome.conflicts[:50]],
                outputs=Outputs(base_sha=main),
            )
        candidate, summary = outcome.commit, f"Merged onto {_target(ctx)} at {main[:12]}."
        await _publish_candidate(ctx, candidate)
    return _candidate(
        candidate,
        main,
        await ctx.git.diff_hash(main, candidate),
        summary,
        inputs_of(ctx).branch if candidate != head else "",
    )


async def _push(ctx: StepContext, main: str, branch: str) -> WorkResult:
    inputs = inputs_of(ctx)
    candidate = await _here(ctx, inputs.candidate_sha or ctx.work.commit_sha, "inputs.candidate_sha")
    expected = inputs.expected_main_sha
    outputs = Outputs(commit_sha=candidate, base_sha=expected, branch=_target(ctx), merged=True)
    stands = await ctx.git.is_ancestor(expected, candidate)
    to_push = stands and main == expected != candidate
    if not to_push and await ctx.git.is_ancestor(candidate, main):
        outputs.unchanged = True
        return WorkResult(summary=f"{candidate[:12]} is already on {_target(ctx)}.", outputs=outputs)
    _need_unmoved(ctx, branch)
    if main != expected:
        raise _moved(ctx, main)
    if not stands:
        raise StepFailed(
            FailureCode.POLICY_VIOLATION,
            f"inputs.candidate_sha: {candidate[:12]} does not stand on {_target(ctx)} at {expected[:12]};"
            " pushing it would take commits away. Prepare a new candidate.",
        )
    try:
        await ctx.git.push_with_lease(candidate, _target(ctx), expected)
    except LeaseRefused as error:
        raise _moved(ctx, error.actual) from error
    except GitFailed as error:
        raise push_failed(error, _target(ctx)) from error
    ctx.log(f"pushed {candidate} to {_target(ctx)}")
    return WorkResult(summary=f"{_target(ctx)} is now {candidate[:12]}.", outputs=outputs)


async def _publish_candidate(ctx: StepContext, candidate: str) -> None:
    """The candidate branch belongs to this run and number, so an older candidate of a lost attempt may be replaced."""
    branch = inputs_of(ctx).branch
    if not branch:
        raise StepFailed(
            FailureCode.TOOL_FAILED, "inputs.branch: a merge needs a branch for its candidate. Request it with one."
        )
    try:
        await ctx.git.push_with_lease(candidate, branch, await ctx.git.remote_head(branch))
    except GitFailed as error:
        raise push_failed(error, branch) from error


async def _here(ctx: StepContext, sha: str, field: str) -> str:
    try:
        await have(ctx, sha)
        return await ctx.git.resolve(sha)
    except GitFailed as error:
        raise StepFailed(
            FailureCode.CHECKOUT_FAILED, f"{field}: the repository has no commit {sha}: {error}."
        ) from error


async def _latest(ctx: StepContext, *commits: str) -> datetime:
    """The date of a merge commit is its newest parent's.

    So that merging the same commits again gives the same commit.
    """
    shown = await ctx.git.git("show", "-s", "--format=%ct", *commits)
    return datetime.fromtimestamp(max(int(line) for line in shown.text.split()), UTC)


def _candidate(candidate: str, main: str, diff_hash: str, summary: str, branch: str = "") -> WorkResult:
    return WorkResult(
        summary=summary,
        outputs=Outputs(commit_sha=candidate, base_sha=main, diff_hash=diff_hash, branch=branch, unchanged=not branch),
    )


def _target(ctx: StepContext) -> str:
    return inputs_of(ctx).target_branch or "main"


def _message(ctx: StepContext) -> str:
    return ctx.redactor.text(f"Merge {inputs_of(ctx).requirement_title or ctx.work.change_id or 'the change'}")


def _moved(ctx: StepContext, main: str) -> StepFailed:
    what = f"{_target(ctx)} is at {main[:12]} and was expected at {inputs_of(ctx).expected_main_sha[:12]}"
    moved = finding(
        FindingClass.MERGE_CONFLICT,
        MAIN_MOVED,
        what,
        why="The verified candidate stands on another commit.",
        where=WhereToFix.OPS,
        steps=["Prepare and verify a candidate on the current commit."],
    )
    return StepFailed(
        FailureCode.CONFLICT, f"{what}; nothing was pushed.", findings=[moved], outputs=Outputs(base_sha=main)
    )


def _need_unmoved(ctx: StepContext, branch: str) -> None:
    """Raises CONFLICT when the run's branch holds another commit than the run knows: a person's."""
    inputs = inputs_of(ctx)
    if branch in ("", inputs.expected_agent_sha):
        return
    expected = f"at {inputs.expected_agent_sha[:12]}" if inputs.expected_agent_sha else "not to exist"
    what = f"{inputs.agent_branch} is at {branch[:12]} and was expected {expected}"
    moved = finding(
        FindingClass.MERGE_CONFLICT,
        BRANCH_MOVED,
        what,
        why="Somebody's commits on the branch belong to the change, and nobody has verified or accepted them.",
        where=WhereToFix.OPS,
        steps=["Verify and accept the branch as it is now."],
    )
    outputs = Outputs(commit_sha=branch, branch=inputs.agent_branch)
    raise StepFailed(FailureCode.CONFLICT, f"{what}; nothing was merged.", findings=[moved], outputs=outputs)


async def _conflict(ctx: StepContext, path: str, head: str, main: str) -> Finding:
    target = _target(ctx)
    sha, subject, change = await ctx.git.last_change(main, path, since=head, trailer=CHANGE_TRAILER)
    by = f", by {sha[:12]} “{subject[:200]}”{f' of change {change}' if change else ''}" if sha else ""
    return finding(
        FindingClass.MERGE_CONFLICT,
        path,
        f"{path} was changed here and on {target} (at {main[:12]}{by}) in the same place.",
        why="The change cannot be merged as it is.",
        steps=[f"Read what {target} did to {path}, and make the change fit on top of it."],
        location=path,
    )
