"""Generated code: made again when its inputs changed, and never trusted to be up to date.

The commands are those of the base commit; what they leave is compared byte by byte, without asking git or its ignore
files.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from ameide.infra.repo_config import FolderTree, Generate
from ameide.infra.steps import Profile, StepContext, StepFailed
from ameide.infra.tools.commands import CommandFailed, run_all
from ameide.infra.tools.findings import finding
from ameide.infra.tools.repository import Checkout, checkout_of, config_at
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode, Finding, FindingClass, WhereToFix

CHECK = "contract:generated-code"
Snapshot = dict[str, str]


async def regenerate_if_needed(ctx: StepContext, since: str) -> bool:
    """Generate again when the working tree changed an input or an output since a commit; whether it did.

    For the step that runs a coder, before it commits. Raises `StepFailed(VERIFICATION_FAILED)` when the generator
    refuses the inputs.
    """
    generate = (await config_at(ctx, ctx.work.base_sha or "HEAD")).generate
    if generate is None:
        return False
    await ctx.git.add_all()
    tree = (await ctx.git.git("write-tree")).text
    changed = await ctx.git.changed_paths(since, tree)
    if not any(concerns(generate, ctx.work.workdir, change.path) for change in changed):
        return False
    await run_generate(checkout_of(ctx), generate)
    return True


async def run_generate(checkout: Checkout, generate: Generate) -> None:
    """Run the generator. Raises `StepFailed(VERIFICATION_FAILED)` with a finding for whoever wrote the inputs."""
    failed = await run_all(checkout, generate.run, profile=Profile.TOOL)
    if failed is not None:
        raise StepFailed(
            FailureCode.VERIFICATION_FAILED,
            f"ameide.yaml generate.run: {failed}",
            findings=[_refused(failed)],
            exit_code=failed.exit_code or 1,
        )


async def drift(checkout: Checkout, generate: Generate, *, clean: bool) -> list[str]:
    """Outputs that differ once generated again.

    `clean` removes them first, so that files nobody generates are found as well.
    """
    before = await snapshot(checkout.root, generate)
    if clean:
        for path in before:
            (checkout.root / path).unlink()
    await run_generate(checkout, generate)
    after = await snapshot(checkout.root, generate)
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def drift_finding(paths: list[str]) -> Finding:
    """The finding for outputs that are out of date."""
    return finding(
        FindingClass.TEST_FAILURE,
        CHECK,
        f"Generated code is not what its inputs generate: {', '.join(paths[:20])}",
        why="Whoever reads the contract would be told something else than what runs.",
        where=WhereToFix.PROTO,
        steps=["Run `ameide generate` and commit what it writes; never edit generated files."],
        location=paths[0],
    )


async def snapshot(root: Path, generate: Generate) -> Snapshot:
    """The outputs there are, each with the hash of its bytes, or its target when it is a link."""
    found = [path for path in await FolderTree(root).paths() if generate.writes(path)]
    # In a thread: how large the files are is up to the generator, and heartbeats must go on.
    return await asyncio.to_thread(lambda: {path: _digest(root / path) for path in found})


def concerns(generate: Generate, workdir: str, path: str) -> bool:
    """Whether a change of `path` (from the repository's root) asks for generating again."""
    prefix = f"{workdir.strip('/')}/" if workdir.strip("/") else ""
    relative = path.removeprefix(prefix)
    return path.startswith(prefix) and (generate.reads(relative) or generate.writes(relative))


def inputs_among(generate: Generate, workdir: str, paths: Iterable[str]) -> list[str]:
    """Those of `paths` whose change asks for generating again."""
    return [path for path in paths if concerns(generate, workdir, path)]


def _digest(path: Path) -> str:
    if path.is_symlink():
        return f"link:{os.readlink(path)}"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refused(failed: CommandFailed) -> Finding:
    return finding(
        FindingClass.TEST_FAILURE,
        f"generate:{failed.number}",
        str(failed),
        why="Without generated code nothing else can be built or tested.",
        where=WhereToFix.PROTO,
        steps=["Correct the input that the generator names."],
    )
