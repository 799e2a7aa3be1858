"""DEPLOY and its forge: one line of one file, by a pull request that a protected branch leaves to a person."""

from __future__ import annotations

import pytest

from ameide.delivery.forge import LocalForge, MergeRefused, PullState
from ameide.infra.steps import StepFailed
from ameide.infra.tools import STEPS
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, FailureCode, Outputs, WorkInputs
from tests.tools.world import Remote, World, git

IMAGE = f"local/orders:{'a' * 40}@sha256:{'b' * 64}"
PATH = "environments/dev/values.yaml"
VALUES = "# dev\nreplicas: 1 # one\nimage:\n  ref: 'old'   # by digest\nother: {ref: x}\n"


async def deploy(world: World, gitops: Remote, path: str = PATH) -> Outputs:
    inputs = WorkInputs(
        image_ref=IMAGE, environment="dev", gitops_url=gitops.url, image_ref_path=path, release_id="rel-1"
    )
    outputs = (await world.run(STEPS[ActionKind.DEPLOY], world.work(ActionKind.DEPLOY, gitops, inputs=inputs))).outputs
    assert outputs is not None
    return outputs


@pytest.fixture
def gitops(world: World) -> Remote:
    return Remote.create(world.folder, "gitops", {PATH: VALUES, "README.md": "gitops\n"})


async def test_only_the_scalar_changes(world: World, gitops: Remote) -> None:
    deployed = await deploy(world, gitops)
    assert git(gitops.bare, "show", f"main:{PATH}") == VALUES.replace("'old'", f"'{IMAGE}'").strip()
    assert git(gitops.bare, "show", "--numstat", "--format=", deployed.gitops_commit_sha) == f"1\t1\t{PATH}"
    assert gitops.head() == deployed.gitops_commit_sha


async def test_a_protected_branch_waits_for_a_person(world: World, gitops: Remote) -> None:
    before = gitops.head()
    git(gitops.bare, "config", "--add", "ameide.protectedBranch", "main")
    proposed = await deploy(world, gitops)
    assert (proposed.merged, gitops.head()) == (False, before)
    assert proposed.pr_url == f"{gitops.url}#pull-1"
    assert (await deploy(world, gitops)).gitops_commit_sha == proposed.gitops_commit_sha

    merged = await LocalForge(as_person=True).merge_pull(gitops.url, 1, head_sha=proposed.gitops_commit_sha)
    assert merged.state is PullState.MERGED
    assert gitops.head() == proposed.gitops_commit_sha
    replayed = await deploy(world, gitops)
    assert (replayed.merged, replayed.unchanged) == (True, True)


async def test_a_hook_that_refuses_leaves_the_pull_request_open(world: World, gitops: Remote) -> None:
    hook = gitops.bare / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\n[ "$1" != refs/heads/main ]\n')
    hook.chmod(0o755)
    proposed = await deploy(world, gitops)
    assert not proposed.merged
    with pytest.raises(MergeRefused) as refused:
        await LocalForge().merge_pull(gitops.url, 1, head_sha=proposed.gitops_commit_sha)
    assert refused.value.reason == "PROTECTED"


async def test_another_head_than_the_one_seen_is_not_merged(world: World, gitops: Remote) -> None:
    git(gitops.bare, "config", "--add", "ameide.protectedBranch", "main")
    await deploy(world, gitops)
    with pytest.raises(MergeRefused) as refused:
        await LocalForge(as_person=True).merge_pull(gitops.url, 1, head_sha="c" * 40)
    assert refused.value.reason == "MOVED"


async def test_a_file_without_image_ref_is_named(world: World, gitops: Remote) -> None:
    with pytest.raises(StepFailed, match=r"README\.md image\.ref") as failed:
        await deploy(world, gitops, "README.md")
    assert failed.value.code is FailureCode.TOOL_FAILED
    with pytest.raises(StepFailed, match=r"has no nowhere\.yaml"):
        await deploy(world, gitops, "nowhere.yaml")
