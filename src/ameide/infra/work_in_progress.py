"""What a coder had changed when its attempt ended otherwise than well, kept on the run's branch.

The commit carries the trailer `Ameide-Wip` with the work's id. It is where the next iteration, or the next attempt of
the same work, begins, like at any commit that was pushed before; it is nobody's result, and no one verifies it. The
same rules hold for it as for a change that is done: what breaks one is kept as a patch in the evidence alone.
"""

from __future__ import annotations

import asyncio

from ameide.infra import lfs
from ameide.infra.git import Git, GitFailed
from ameide.infra.path_rules import Limits, violations
from ameide.infra.secrets_in_change import known
from ameide.infra.steps import StepContext
from ameide_core_proto.transformation.work.v1.work_pb import Outputs, WorkInputs

WIP_TRAILER = "Ameide-Wip"
PATCH = "wip.patch"
"""The artifact with what was kept, or what was not and why the log says."""

_MOST = 64 << 20
_WITHIN = 20.0
_IN_A_ROW = 50


async def before_unfinished(git: Git, start: str) -> str:
    """The last commit at or under `start` that is no work in progress: what a coder's change is judged against.

    So what somebody left unfinished is judged with what is made of it, by the rules of now.
    """
    commit = start
    for _ in range(_IN_A_ROW):
        shown = await git.git("log", "-1", f"--format=%P%n%(trailers:key={WIP_TRAILER},valueonly)", commit, "--")
        parents, _, trailers = shown.text.partition("\n")
        if not trailers.strip() or not parents:
            break
        commit = parents.split(" ")[0]
    return commit


async def keep(ctx: StepContext, why: str, lease_left: float) -> Outputs | None:
    """Commit and push what the ended coder left; where to find it, or None when there is nothing that may be pushed.

    `lease_left` is in seconds; half of it is left for what has to be told. Raises `Fenced` when the claim is gone.
    """
    try:
        async with asyncio.timeout(min(_WITHIN, lease_left / 2)):
            return await _keep(ctx, why)
    except TimeoutError:
        ctx.log("work in progress is not kept: it took too long")
    except GitFailed as error:
        ctx.log(f"work in progress is not kept: {error}")
    return None


async def _keep(ctx: StepContext, why: str) -> Outputs | None:
    inputs = ctx.work.inputs or WorkInputs()
    head = await _checked_out(ctx)
    if not head or not inputs.branch:
        return None
    if strange := ctx.workspace.inspect_tree():
        ctx.log(f"work in progress is not kept: {', '.join(strange[:5])} is not a plain file")
        return None
    await ctx.git.add_all()
    tree = (await ctx.git.git("write-tree")).text
    changes = await ctx.git.changed_paths(head, tree)
    if not changes:
        return None
    if await ctx.git.size(tree, [change.path for change in changes]) > _MOST:
        ctx.log(f"work in progress is not kept: it has more than {_MOST} bytes")
        return None
    ctx.evidence.add_bytes(PATCH, await ctx.git.diff(head, tree), "text/x-patch")
    broken = await violations(ctx.git, tree, changes, Limits.of(ctx.work))
    broken += await known(ctx.git, head, tree, ctx.redactor)
    reasons = [finding.what_failed for finding in broken]
    reasons += [f"{path} was changed: {why}" for path, why in await lfs.broken_rules(ctx.git, head, tree, changes)]
    if reasons:
        ctx.log(f"work in progress is kept as {PATCH} alone: {reasons[0]}")
        return None
    title = inputs.requirement_title or "the requirement"
    commit = await ctx.git.commit_tree(
        tree,
        [head],
        ctx.redactor.text(f"Work in progress: {title}\n\n{why}"),
        {"Ameide-Change": ctx.work.change_id, WIP_TRAILER: ctx.work.work_request_id},
        by_coder=True,
    )
    # Who began at what was pushed before the attempt expects the branch there.
    expected = inputs.expected_branch_sha if head == ctx.work.commit_sha or not ctx.work.commit_sha else head
    await lfs.upload(ctx.git, head, commit)
    await ctx.git.push_with_lease(commit, inputs.branch, expected)
    ctx.log(f"kept work in progress as {commit} on {inputs.branch}")
    return Outputs(commit_sha=commit, branch=inputs.branch)


async def _checked_out(ctx: StepContext) -> str:
    """The commit that the coder began at; empty when it did not, or when its result is committed already."""
    if not ctx.git.folder.is_dir():
        return ""
    found = await ctx.git.git("rev-parse", "--verify", "--quiet", "HEAD^{commit}", check=False)
    if found.exit_code:
        return ""
    done = await ctx.git.find_trailer(f"{found.text}^!", "Ameide-Work", ctx.work.work_request_id)
    return "" if done else found.text
