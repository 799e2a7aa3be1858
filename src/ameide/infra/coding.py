"""The step for agent work: a coder changes the working tree, the executor judges, commits and pushes what it did.

The coder is hostile by assumption. It sees no credential and no git folder of ours; which paths it may write comes
with the work, from the policy; what it changed is read from the tree that the trusted git staged.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ameide.infra import lfs, people
from ameide.infra.checkout import check_out, have
from ameide.infra.coders.choice import coder_named
from ameide.infra.coders.port import Coder, CoderReport, CoderTask
from ameide.infra.coders.prompt import prompt
from ameide.infra.git import GitFailed
from ameide.infra.path_rules import Limits, violations
from ameide.infra.secrets_in_change import known
from ameide.infra.steps import Step, StepContext, StepFailed
from ameide.infra.submodules import rewritten_submodules
from ameide.infra.work_in_progress import before_unfinished
from ameide_core_proto.transformation.work.v1.work_pb import (
    FailureCode,
    Finding,
    FindingClass,
    Outputs,
    PathRules,
    WhereToFix,
    WorkInputs,
    WorkResult,
)

WORK_TRAILER, CHANGE_TRAILER = "Ameide-Work", "Ameide-Change"
_MOST, _NAMED = 64 << 20, 20

Regenerate = Callable[[StepContext, str], Awaitable[object]]
"""Runs code generation again when the working tree changed its inputs since a commit; a tool run's function."""


def coding(regenerate: Regenerate, choose: Callable[[str], Coder] = coder_named) -> Step:
    """The step for AGENT_WORK PUBLISH."""

    async def step(ctx: StepContext) -> WorkResult:
        coder = choose(ctx.work.coder)
        await coder.prepare(ctx)
        start = await check_out(ctx, ctx.work.commit_sha)
        if commit := await _pushed_before(ctx, start):
            ctx.log(f"an earlier attempt of this work already pushed {commit}")
            return await _result(ctx, commit, "An earlier attempt of this work already pushed its commit.")
        branch = await people.branch_now(ctx, start)
        if branch.added:
            start = await check_out(ctx, branch.head)
        before = await before_unfinished(ctx.git, start)
        refs = set(ctx.workspace.own_refs())
        report = await coder.run(
            CoderTask(
                ctx.work,
                prompt(ctx.work),
                ctx.workspace,
                ctx.run,
                ctx.settings,
                ctx.log,
                ctx.spend,
                ctx.evidence,
                ctx.redactor,
            )
        )
        if made := [name for name in ctx.workspace.own_refs() if name not in refs][:_NAMED]:
            ctx.log(f"the coder made branches or tags of its own, which count for nothing: {', '.join(made)}")
        _keep(ctx, report)
        await _judge(ctx, before, await _staged(ctx), Limits.of(ctx.work))
        # Also for what an interrupted attempt had changed.
        await regenerate(ctx, before)
        # The generator is steered by files of the change.
        await _staged(ctx)
        commit = await _commit(ctx, start, report)
        # What generation wrote is not the coder's own, but no path that is denied may change by that way either.
        denied = PathRules(denied=(ctx.work.path_rules or PathRules()).denied)
        await _judge(ctx, before, commit, Limits.of(ctx.work, rules=denied))
        commit, kept = await people.push_beside(ctx, start, commit, branch, _moved)
        result = await _result(ctx, commit, f"{report.summary} {kept}".strip())
        result.usage = report.usage
        return result

    return step


async def _pushed_before(ctx: StepContext, start: str) -> str:
    """The head of the branch when it holds the commit of a lost attempt of this work; empty when it does not."""
    inputs = ctx.work.inputs or WorkInputs()
    head = await ctx.git.remote_head(inputs.branch)
    if not head or head == inputs.expected_branch_sha:
        return ""
    await have(ctx, head)
    if not await ctx.git.is_ancestor(start, head):
        return ""
    # With what people have put on top of it meanwhile.
    return head if await ctx.git.find_trailer(head, WORK_TRAILER, ctx.work.work_request_id, since=start) else ""


def _keep(ctx: StepContext, report: CoderReport) -> None:
    ctx.evidence.describe(report.tool_name, report.tool_version, report.argv, report.result.exit_code)
    ctx.evidence.add_text("prompt.md", prompt(ctx.work), "text/markdown")
    for name, path in report.transcripts:
        ctx.evidence.add_bytes(name, path.read_bytes(), "text/plain")


async def _staged(ctx: StepContext) -> str:
    if strange := ctx.workspace.inspect_tree():
        raise StepFailed(
            FailureCode.POLICY_VIOLATION,
            f"The coder left what is not a plain file of its own: {', '.join(strange[:5])}.",
            findings=[
                _finding(FindingClass.POLICY_VIOLATION, f"path:{path}", f"{path} is no plain file") for path in strange
            ],
        )
    try:
        await ctx.git.add_all()
    except GitFailed as error:
        raise StepFailed(FailureCode.TOOL_FAILED, f"The working tree cannot be staged: {error}") from error
    return (await ctx.git.git("write-tree")).text


async def _judge(ctx: StepContext, start: str, head: str, limits: Limits) -> None:
    changes = await ctx.git.changed_paths(start, head)
    if (size := await ctx.git.size(head, [change.path for change in changes])) > _MOST:
        # Nobody could read it, and its patch would have to be held in memory.
        what = f"The changed files have {size} bytes together, more than {_MOST}."
        finding = _finding(FindingClass.POLICY_VIOLATION, "change_size", what)
        raise StepFailed(FailureCode.POLICY_VIOLATION, f"{what} Nothing was pushed.", findings=[finding])
    ctx.evidence.add_bytes("change.patch", await ctx.git.diff(start, head), "text/x-patch")
    if not changes:
        what = "The coder changed nothing."
        finding = _finding(FindingClass.GUARDRAIL_BUG_SUSPECTED, "no_change", what)
        raise StepFailed(FailureCode.TOOL_FAILED, f"{what} Look at its transcript in the evidence.", findings=[finding])
    findings = await violations(ctx.git, head, changes, limits)
    findings += [
        _finding(FindingClass.POLICY_VIOLATION, f"path:{path}", f"{path} was changed: {why}")
        for path, why in (await lfs.broken_rules(ctx.git, start, head, changes))[:50]
    ]
    if not findings:
        inside = "is in a submodule, whose commits are not made here"
        findings = [
            _finding(FindingClass.POLICY_VIOLATION, f"path:{path}", f"{path} was changed: it {inside}")
            for path in (await rewritten_submodules(ctx))[:50]
        ]
    if findings:
        paths = ", ".join(finding.location for finding in findings[:5])
        raise StepFailed(
            FailureCode.POLICY_VIOLATION,
            f"The coder changed what it may not: {paths}. Nothing was pushed.",
            findings=findings,
        )
    await refuse_secrets(ctx, start, head)


async def refuse_secrets(ctx: StepContext, start: str, head: str) -> None:
    """Raises `StepFailed(POLICY_VIOLATION)` when the change would put a secret of this executor into the repository."""
    if findings := await known(ctx.git, start, head, ctx.redactor):
        raise StepFailed(
            FailureCode.POLICY_VIOLATION,
            f"The change holds a secret of the executor in {len(findings)} places. Nothing was pushed.",
            findings=findings,
        )


async def _commit(ctx: StepContext, start: str, report: CoderReport) -> str:
    inputs = ctx.work.inputs or WorkInputs()
    await ctx.git.git("update-ref", "--no-deref", "HEAD", start)
    await ctx.git.add_all()
    # Also where nothing was left to do after what an interrupted attempt had kept.
    commit = await ctx.git.commit_tree(
        (await ctx.git.git("write-tree")).text,
        [start],
        ctx.redactor.text(f"{inputs.requirement_title or 'Implement the requirement'}\n\n{report.summary}"),
        {CHANGE_TRAILER: ctx.work.change_id, WORK_TRAILER: ctx.work.work_request_id},
        by_coder=True,
    )
    await ctx.git.git("update-ref", "--no-deref", "HEAD", commit)
    return commit


def _moved(what: str) -> Finding:
    return _finding(FindingClass.MERGE_CONFLICT, "branch_moved", what)


async def _result(ctx: StepContext, commit: str, summary: str) -> WorkResult:
    base = ctx.work.base_sha or ctx.work.commit_sha
    changes = await ctx.git.changed_paths(base, commit)
    return WorkResult(
        summary=summary,
        outputs=Outputs(
            commit_sha=commit,
            branch=(ctx.work.inputs or WorkInputs()).branch,
            base_sha=base,
            diff_hash=await ctx.git.diff_hash(base, commit),
            changed_paths=[change.path for change in changes],
        ),
    )


def _finding(kind: FindingClass, identity: str, what: str) -> Finding:
    return Finding(
        class_=kind,
        id=identity[:512],
        what_failed=what,
        why_it_matters="Only a change that is there, plain and pushed can be verified.",
        where_to_fix=WhereToFix.IMPLEMENTATION,
        location=identity.removeprefix("path:")[:512] if identity.startswith("path:") else "",
    )
