"""Repositories with more in them than an executor takes in: a few objects that are millions of paths."""

from __future__ import annotations

import asyncio
import subprocess

import psutil
import pytest

from ameide.infra import lfs
from ameide.infra.git_command import GitSaidTooMuch
from ameide.infra.outcome import concluded
from ameide.infra.steps import StepContext, StepFailed
from ameide.infra.submodules import submodules_at
from ameide.infra.tools.analyze import analyze
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, FailureCode, WorkResult
from tests.tools.conftest import PROJECT
from tests.tools.world import Remote, World, git

_FOLDERS, _NAME, _DEEP = 120, "n" * 180, 3


@pytest.fixture
def many(world: World) -> Remote:
    """1.7 million paths, together a gigabyte of names, in a handful of objects."""
    remote = Remote.create(world.folder, "many", PROJECT)
    below, kind = git(remote.bare, "hash-object", "-w", str(remote.clone / "calc.py")), "100644 blob"
    for _ in range(_DEEP):
        listing = "".join(f"{kind} {below}\t{_NAME}{number}\n" for number in range(_FOLDERS))
        made = subprocess.run(
            ["git", "-C", remote.bare, "mktree"], input=listing, capture_output=True, text=True, check=True
        )
        below, kind = made.stdout.strip(), "040000 tree"
    commit = git(remote.bare, "commit-tree", "-p", remote.head(), "-m", "More", below)
    git(remote.bare, "update-ref", "refs/heads/main", commit)
    return remote


async def test_an_analysis_says_that_it_is_too_much_and_holds_little(world: World, many: Remote) -> None:
    before = psutil.Process().memory_info().rss
    with pytest.raises(StepFailed, match=r"git ls-tree said more than 64 MiB.*too many files") as failed:
        await world.run(analyze, world.work(ActionKind.ANALYZE, many))
    assert failed.value.code is FailureCode.CHECKOUT_FAILED
    assert psutil.Process().memory_info().rss - before < 256 << 20


async def test_every_listing_is_bounded(world: World, many: Remote) -> None:
    async def step(ctx: StepContext) -> WorkResult:
        await ctx.git.open()
        await ctx.git.fetch()
        head, first = many.head(), git(many.bare, "rev-parse", "main~1")
        for listing in (
            lfs.uses_lfs(ctx.git, head),
            submodules_at(ctx.git, head),
            ctx.git.size(head, ["calc.py"]),
            ctx.git.changed_paths(first, head),
        ):
            with pytest.raises(GitSaidTooMuch):
                await listing
        return WorkResult(summary="none of them")

    assert (await world.run(step, world.work(ActionKind.ANALYZE, many))).summary == "none of them"


async def test_a_step_that_does_not_expect_it_fails_for_that_reason_and_not_by_a_defect(world: World) -> None:
    async def step() -> WorkResult:
        raise GitSaidTooMuch("git diff said more than 256 MiB")

    task = asyncio.create_task(step())
    await asyncio.wait([task])
    conclusion = concluded(task)
    assert conclusion.result.failure_code is FailureCode.TOOL_FAILED
    assert conclusion.result.summary == "repo_url: git diff said more than 256 MiB."
    assert not conclusion.trace
