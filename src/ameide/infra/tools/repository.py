"""The repository of a work as a step sees it: its configuration at the base commit, and a place to run its commands."""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ameide.infra.repo_config import CommitTree, ConfigError, RepoConfig, configuration
from ameide.infra.steps import RunCommand, StepContext, StepFailed
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode, WorkInputs

TOOL_ENVIRONMENT = {
    "UV_PYTHON_DOWNLOADS": "never",
    "UV_NO_PROGRESS": "1",
    "GOTOOLCHAIN": "local",
    "npm_config_update_notifier": "false",
}
"""No tool fetches another version of itself, or of what it runs."""

NO_VCS = "-buildvcs=false"
PIP_TO_UV = {"PIP_INDEX_URL": "UV_DEFAULT_INDEX", "PIP_EXTRA_INDEX_URL": "UV_INDEX", "PIP_FIND_LINKS": "UV_FIND_LINKS"}


@dataclass(frozen=True)
class Checkout:
    """A folder with a repository in it and the way to run commands there.

    The same for a work and for a person's own folder.

    `read` gives the bytes of a file that a command left, without following links.
    """

    root: Path
    run: RunCommand
    log: Callable[[str], None]
    read: Callable[[Path], bytes]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


def inputs_of(ctx: StepContext) -> WorkInputs:
    """The inputs of the work, empty ones when it has none."""
    return ctx.work.inputs or WorkInputs()


def checkout_of(ctx: StepContext) -> Checkout:
    """Where the work's commands run: its working tree, or `workdir` in it."""
    workdir = PurePosixPath(ctx.work.workdir)
    root = ctx.workspace.tree / workdir
    if workdir.is_absolute() or ".." in workdir.parts or _leads_elsewhere(ctx.workspace.tree, workdir):
        raise StepFailed(
            FailureCode.TOOL_FAILED,
            f"workdir: {ctx.work.workdir} is not a folder of the repository. Name one, or none.",
        )
    return Checkout(
        root, ctx.run, ctx.log, ctx.workspace.read_file, package_environment(ctx.settings.operator_environment)
    )


def package_environment(operator: Mapping[str, str]) -> dict[str, str]:
    """What keeps tools quiet and as installed, and settings of pip in uv's words, where uv's own are not set."""
    translated = {uv: operator[pip] for pip, uv in PIP_TO_UV.items() if pip in operator and uv not in operator}
    # The history belongs to the executor, so the children's Go cannot read it.
    flags = " ".join(filter(None, [operator.get("GOFLAGS"), NO_VCS]))
    return TOOL_ENVIRONMENT | {"GOFLAGS": flags} | translated


async def config_at(ctx: StepContext, commit_sha: str) -> RepoConfig:
    """The configuration at a commit, never the one of a working tree.

    Raises `StepFailed(TOOL_FAILED)` naming file, field, remedy.
    """
    try:
        return await configuration(CommitTree(ctx.git, commit_sha, ctx.work.workdir))
    except ConfigError as error:
        raise StepFailed(FailureCode.TOOL_FAILED, str(error), exit_code=2) from error


def _leads_elsewhere(tree: Path, workdir: PurePosixPath) -> bool:
    folder = tree
    for part in workdir.parts:
        folder = folder / part
        try:
            if not stat.S_ISDIR(folder.lstat().st_mode):
                return True
        except OSError:
            return True
    return False
