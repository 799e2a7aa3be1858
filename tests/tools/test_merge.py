"""MERGE: what is pushed is the commit that was verified, on the main it was verified on, or nothing."""

from __future__ import annotations

import pytest

from ameide.infra.steps import StepFailed
from ameide.infra.tools import STEPS
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, FailureCode, Outputs, WhereToFix, WorkInputs
from tests.infra.git_servers import refuse_pushes
from tests.tools.world import Remote, World

CANDIDATE = "agent/candidate/chg-1/1/1"
HEAD = "agent/coder/chg-1/1"


async def prepare(world: World, remote: Remote, head: str, base: str) -> Outputs:
    inputs = WorkInputs(branch=CANDIDATE, target_branch="main", requirement_title="Subtract")
    work = world.work(ActionKind.MERGE, remote, commit=head, base=base, inputs=inputs)
    outputs = (await world.run(STEPS[ActionKind.MERGE], work)).outputs
    assert outputs is not None
    return outputs


async def push(world: World, remote: Remote, candidate: str, main: str) -> Outputs:
    inputs = WorkInputs(push=True, target_branch="main", candidate_sha=candidate, expected_main_sha=main)
    work = world.work(ActionKind.MERGE, remote, commit=candidate, inputs=inputs)
    outputs = (await world.run(STEPS[ActionKind.MERGE], work)).outputs
    assert outputs is not None
    return outputs


async def test_an_unmoved_main_takes_the_verified_commit_itself(world: World, project: Remote) -> None:
    base = project.head()
    head = project.commit({"sub.py": "x = 1\n"}, branch=HEAD)
    prepared = await prepare(world, project, head, base)
    assert (prepared.commit_sha, prepared.base_sha) == (head, base)
    pushed = await push(world, project, head, base)
    assert project.head() == head
    assert (pushed.merged, pushed.unchanged) == (True, False)
    again = await push(world, project, head, base)
    assert again.unchanged


async def test_a_moved_main_gets_a_merge_commit_that_is_the_same_again(world: World, project: Remote) -> None:
    base = project.head()
    head = project.commit({"sub.py": "x = 1\n"}, branch=HEAD)
    alone = await prepare(world, project, head, base)
    moved = project.commit({"other.py": "y = 1\n"}, onto=base)
    prepared = await prepare(world, project, head, base)
    assert prepared.commit_sha not in {head, moved}
    assert (prepared.base_sha, project.head(CANDIDATE)) == (moved, prepared.commit_sha)
    assert prepared.diff_hash == alone.diff_hash
    for commit, main in ((head, base), (prepared.commit_sha, moved)):
        verify = world.work(ActionKind.VERIFY, project, commit=commit, base=main)
        verified = (await world.run(STEPS[ActionKind.VERIFY], verify)).outputs
        assert verified is not None
        assert (verified.base_sha, verified.diff_hash) == (main, prepared.diff_hash)
    assert (await prepare(world, project, head, base)).commit_sha == prepared.commit_sha


async def test_main_moving_after_the_candidate_was_prepared_is_a_conflict(world: World, project: Remote) -> None:
    base = project.head()
    head = project.commit({"sub.py": "x = 1\n"}, branch=HEAD)
    moved = project.commit({"other.py": "y = 1\n"}, onto=base)
    with pytest.raises(StepFailed) as failed:
        await push(world, project, head, base)
    assert failed.value.code is FailureCode.CONFLICT
    assert [found.id for found in failed.value.findings] == ["main_moved"]
    assert project.head() == moved


async def test_a_conflict_names_the_file(world: World, project: Remote) -> None:
    base = project.head()
    head = project.commit({"calc.py": "def add(a, b):\n    return b + a\n"}, branch=HEAD)
    project.commit({"calc.py": "def add(a, b):\n    return sum((a, b))\n"}, onto=base)
    with pytest.raises(StepFailed) as failed:
        await prepare(world, project, head, base)
    assert failed.value.code is FailureCode.CONFLICT
    assert [found.id for found in failed.value.findings] == ["calc.py"]


async def test_a_candidate_that_would_take_commits_away_is_refused(world: World, project: Remote) -> None:
    first = project.head()
    main = project.commit({"other.py": "y = 1\n"})
    stray = project.commit({"sub.py": "x = 1\n"}, branch=HEAD, onto=first)
    with pytest.raises(StepFailed) as failed:
        await push(world, project, stray, main)
    assert failed.value.code is FailureCode.POLICY_VIOLATION
    assert project.head() == main


async def test_a_protected_main_is_named_and_not_tried_again(world: World, project: Remote) -> None:
    refuse_pushes(project.bare, "refs/heads/main", "main takes pull requests only")
    base = project.head()
    head = project.commit({"sub.py": "x = 1\n"}, branch=HEAD)
    with pytest.raises(StepFailed, match="main takes pull requests only") as failed:
        await push(world, project, head, base)
    # Neither a code for which the step is repeated, nor one that goes to the coder.
    assert failed.value.code is FailureCode.TOOL_FAILED
    [finding] = failed.value.findings
    assert (finding.id, finding.where_to_fix) == ("push_refused:main", WhereToFix.OPS)
    assert project.head() == base
