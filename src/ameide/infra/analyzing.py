"""The step for an analysis by an agent: it reads a commit and answers a question; nothing that it writes is kept.

The agent is hostile by assumption. It sees no credential, its sandbox shows it the working tree read-only, and whatever
it has written all the same is thrown away and said. Its answer is a claim: each file and line that it names is looked
for at the commit, and what is not there is said beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ameide.infra.analysis.commit_files import CommitFiles
from ameide.infra.analysis.references import Reference, checked
from ameide.infra.checkout import check_out
from ameide.infra.coders.choice import coder_named
from ameide.infra.coders.port import Coder, CoderReport, CoderTask
from ameide.infra.coders.prompt import analysis_prompt
from ameide.infra.git import GitFailed
from ameide.infra.steps import NOTHING_ELSE, CommandResult, Profile, Reach, RunCommand, Step, StepContext, StepFailed
from ameide_core_proto.transformation.work.v1.work_pb import (
    CheckResult,
    CheckStatus,
    FailureCode,
    Outputs,
    WorkInputs,
    WorkResult,
)

ANSWER = "analysis.md"
"""The artifact with the question, the answer, and what is known of the places that it names."""

_SUMMARY, _NAMED = 600, 20


def analyzing(choose: Callable[[str], Coder] = coder_named) -> Step:
    """The step for AGENT_WORK ANALYZE."""

    async def step(ctx: StepContext) -> WorkResult:
        question = (ctx.work.inputs or WorkInputs()).question.strip()
        if not question:
            raise StepFailed(
                FailureCode.TOOL_FAILED,
                "inputs.question: an analysis needs a question. Request it again with one.",
            )
        coder = choose(ctx.work.coder)
        await coder.prepare(ctx)
        commit = await check_out(ctx, ctx.work.commit_sha)
        before = await _tree(ctx)
        asked = analysis_prompt(ctx.work, commit)
        ctx.evidence.add_text("prompt.md", asked, "text/markdown")
        report = await coder.run(
            CoderTask(
                ctx.work,
                asked,
                ctx.workspace,
                read_only(ctx.run),
                ctx.settings,
                ctx.log,
                ctx.spend,
                ctx.evidence,
                ctx.redactor,
                read_only=True,
            )
        )
        _keep(ctx, report)
        answer = report.answer.strip()
        if not answer:
            raise StepFailed(
                FailureCode.TOOL_FAILED, "The analyst answered nothing. Look at its transcript in the evidence."
            )
        written = await _written(ctx, before)
        try:
            found = await checked(answer, await CommitFiles.of(ctx.git, commit))
        except GitFailed as error:
            raise StepFailed(FailureCode.INTERNAL, f"The commit cannot be read: {error}") from error
        notes = _notes(commit, found, written)
        _tell(ctx, found)
        ctx.evidence.add_text(ANSWER, document(question, commit, report.tool_name, answer, found, notes), _MARKDOWN)
        first = next((line.strip("# *") for line in answer.splitlines() if line.strip("# *")), "")
        return WorkResult(
            summary=" ".join([first[:_SUMMARY], *notes]),
            outputs=Outputs(commit_sha=commit),
            usage=report.usage,
        )

    return step


def read_only(run: RunCommand) -> RunCommand:
    """The same, with a working tree that no child can write, whatever a coder asks for."""

    async def running(
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        profile: Profile = Profile.TOOL,
        stdin: bytes = b"",
        reach: Reach = NOTHING_ELSE,
        listen: Callable[[bytes], None] | None = None,
    ) -> CommandResult:
        reads = replace(reach, tree_read_only=True)
        return await run(
            argv, cwd=cwd, env=env, timeout=timeout, profile=profile, stdin=stdin, reach=reads, listen=listen
        )

    return running


def document(
    question: str, commit: str, tool: str, answer: str, found: Sequence[Reference], notes: Sequence[str]
) -> str:
    """The answer as people read it, in quotes. What was checked stands before it, where it is not cut off with a long
    one, and is not to be written by it; the places that are there come last."""
    asked, said = ("\n".join(f"> {line}".rstrip() for line in text.splitlines()) for text in (question, answer))
    wrong = [f"- `{one.text}`: {one.problem}" for one in found if one.problem]
    there = [f"- `{one.text}`" for one in found if not one.problem]
    parts = [f"# Analysis of {commit}", asked, "## Checked by ameide", "\n".join(f"- {note}" for note in notes)]
    parts += ["## Not there at the commit", "\n".join(wrong)] if wrong else []
    parts += ["## Answer", f"The coder `{tool}`, read-only:", said]
    parts += ["## There at the commit", "\n".join(there)] if there else []
    return "\n\n".join(parts) + "\n"


def _notes(commit: str, found: Sequence[Reference], written: Sequence[str]) -> list[str]:
    wrong = [one for one in found if one.problem]
    notes = [f"It refers to {len(found)} places, {len(found) - len(wrong)} of which are there at {commit[:12]}."]
    if not found:
        notes = ["It names no file or line, so nothing that it says could be looked up."]
    if wrong:
        notes.append("Not there: " + "; ".join(f"{one.text} ({one.problem})" for one in wrong[:5]) + ".")
    if written:
        notes.append(f"It wrote {', '.join(written[:5])}, which was thrown away: an analysis changes nothing.")
    return notes


def _tell(ctx: StepContext, found: Sequence[Reference]) -> None:
    for one in found:
        status = CheckStatus.FAILED if one.problem else CheckStatus.PASSED
        ctx.evidence.add_check(CheckResult(id=f"reference:{one.text}", status=status, message=one.problem))


def _keep(ctx: StepContext, report: CoderReport) -> None:
    ctx.evidence.describe(report.tool_name, report.tool_version, report.argv, report.result.exit_code)
    for name, path in report.transcripts:
        ctx.evidence.add_bytes(name, path.read_bytes(), "text/plain")


async def _tree(ctx: StepContext) -> str:
    await ctx.git.add_all()
    return (await ctx.git.git("write-tree")).text


async def _written(ctx: StepContext, before: str) -> list[str]:
    """Paths that are others than they were before the agent's turn; it could write them where no sandbox is."""
    if strange := ctx.workspace.inspect_tree():
        # Git would follow what is no plain file.
        return strange[:_NAMED]
    try:
        return [change.path for change in await ctx.git.changed_paths(before, await _tree(ctx))][:_NAMED]
    except GitFailed as error:
        return [f"what git cannot read ({error})"]


_MARKDOWN = "text/markdown"
