"""ANALYZE: the structure of a repository at a commit, and where words stand in it.

Everything is read from git's objects by the executor's own git. There is no working tree, no filter and no child:
nothing of the repository is executed, whatever it configures.
"""

from __future__ import annotations

from ameide.errors import InvalidArgument
from ameide.infra.analysis.commit_files import CommitFiles
from ameide.infra.analysis.report import as_json, as_markdown, summary
from ameide.infra.analysis.structure import structure
from ameide.infra.analysis.terms import terms_of
from ameide.infra.checkout import fetch_commit
from ameide.infra.git import GitFailed
from ameide.infra.repo_config import CommitTree, ConfigError, RepoConfig, configuration
from ameide.infra.steps import StepContext, StepFailed
from ameide.infra.tools.repository import inputs_of
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode, Outputs, WorkResult

REPORT, TEXT = "analysis.json", "analysis.md"
"""The artifacts: the report for programs, and for people."""


async def analyze(ctx: StepContext) -> WorkResult:
    """Report on `commit_sha`, or the default branch's head. `inputs.question` holds words to look for, if any."""
    try:
        terms = terms_of(inputs_of(ctx).question)
    except InvalidArgument as error:
        raise StepFailed(FailureCode.TOOL_FAILED, str(error), exit_code=2) from error
    commit = await fetch_commit(ctx, ctx.work.commit_sha)
    ctx.log(f"reading {commit}; nothing of it is executed")
    try:
        found = await structure(commit, await CommitFiles.of(ctx.git, commit), await _commands(ctx, commit), terms)
    except GitFailed as error:
        raise StepFailed(FailureCode.CHECKOUT_FAILED, f"commit_sha: {commit} cannot be read: {error}") from error
    ctx.evidence.add_text(REPORT, as_json(found), "application/json")
    ctx.evidence.add_text(TEXT, as_markdown(found), "text/markdown")
    ctx.evidence.describe("ameide analyze", "1", ["analyze", commit, *terms])
    return WorkResult(summary=summary(found), outputs=Outputs(commit_sha=commit))


async def _commands(ctx: StepContext, commit: str) -> RepoConfig | ConfigError:
    try:
        return await configuration(CommitTree(ctx.git, commit, ctx.work.workdir))
    except ConfigError as error:
        return error
