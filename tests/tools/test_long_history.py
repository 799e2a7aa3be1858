"""A repository with 5,000 commits, of which a few are fetched: the results are those of the whole history."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ameide.infra.checkout import check_out
from ameide.infra.steps import Step, StepContext
from ameide.infra.tools import STEPS
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    CheckoutRules,
    Outputs,
    WorkInputs,
    WorkRequest,
    WorkResult,
)
from tests.tools.test_people import BRANCH, Typist, agent_work, typing
from tests.tools.world import Remote, World, git

COMMITS, DEPTH = 5000, 20


@pytest.fixture
def long(state_dir: Path) -> Remote:
    """Each commit changes one of fifty files; all files of a clone are those of the newest."""
    remote = Remote.create(state_dir, "long")
    stream: list[str] = []
    for number in range(COMMITS):
        text = f"line {number}\n" * 20
        stream.append(
            f"commit refs/heads/main\ncommitter Ada <ada@example.org> {1_700_000_000 + number} +0000\ndata 4\nMore\n"
            f"M 644 inline file{number % 50}.txt\ndata {len(text)}\n{text}\n"
        )
    done = ["git", "fast-import", "--quiet"]
    subprocess.run(done, cwd=remote.bare, input="".join(stream).encode(), check=True)
    git(remote.clone, "pull", "-q", "origin", "main")
    return remote


def counting(step: Step, counts: list[int]) -> Step:
    """The step; afterwards, how many commits its git has."""

    async def counted(ctx: StepContext) -> WorkResult:
        try:
            return await step(ctx)
        finally:
            every = ("rev-list", "--count", "--all", *([ctx.work.commit_sha] if ctx.work.commit_sha else []))
            counts.append(int((await ctx.git.git(*every)).text))

    return counted


async def _check_out(ctx: StepContext) -> WorkResult:
    return WorkResult(summary=await check_out(ctx, ctx.work.commit_sha))


def bounded(work: WorkRequest, depth: int = DEPTH) -> WorkRequest:
    work.checkout = CheckoutRules(history_depth=depth)
    return work


async def test_a_checkout_and_a_coder_need_little_of_it(world: World, long: Remote) -> None:
    counts: list[int] = []
    await world.run(counting(_check_out, counts), bounded(world.work(ActionKind.PREFLIGHT, long)))
    assert counts.pop() == DEPTH
    person = long.commit({"person.txt": "mine\n"}, branch=BRANCH)
    work = bounded(agent_work(world, long, long.head()))
    result = await world.run(counting(typing(Typist({"coder.txt": "its\n"})), counts), work)
    assert git(long.bare, "rev-parse", f"{BRANCH}^") == person
    assert result.outputs
    assert result.outputs.changed_paths == ["coder.txt", "person.txt"]
    assert counts.pop() < 2 * DEPTH + 10


async def test_an_old_commit_is_fetched_by_its_id(world: World, long: Remote) -> None:
    old, older = git(long.bare, "rev-parse", "main~3000"), git(long.bare, "rev-parse", "main~4000")
    counts: list[int] = []
    work = bounded(world.work(ActionKind.VERIFY, long, commit=old, base=older))
    assert (await world.run(counting(_check_out, counts), work)).summary == old
    assert counts.pop() <= 3 * DEPTH


async def test_a_merge_is_the_same_as_with_the_whole_history(world: World, long: Remote) -> None:
    start = long.head()
    head = long.commit({"coder.txt": "its\n"}, branch=BRANCH)
    counts: list[int] = []

    async def prepare(depth: int) -> Outputs:
        inputs = WorkInputs(
            branch="agent/candidate/chg-1/1/1", target_branch="main", agent_branch=BRANCH, expected_agent_sha=head
        )
        work = bounded(world.work(ActionKind.MERGE, long, commit=head, base=start, inputs=inputs), depth)
        outputs = (await world.run(counting(STEPS[ActionKind.MERGE], counts), work)).outputs
        assert outputs is not None
        return outputs

    # Main has not moved: what is there suffices.
    assert (await prepare(DEPTH)).commit_sha == head
    assert counts.pop() <= DEPTH + 1
    # It has, by more than is fetched at first: where the two part has to be found.
    git(long.clone, "checkout", "-q", "--detach", start)
    for number in range(DEPTH + 5):
        git(long.clone, "commit", "-q", "--allow-empty", "-m", f"Main {number}")
    git(long.clone, "push", "-q", "origin", "HEAD:refs/heads/main")
    whole, part = await prepare(0), await prepare(DEPTH)
    assert (part.commit_sha, part.diff_hash) == (whole.commit_sha, whole.diff_hash)
    push = WorkInputs(
        push=True,
        target_branch="main",
        candidate_sha=part.commit_sha,
        expected_main_sha=long.head(),
        agent_branch=BRANCH,
        expected_agent_sha=head,
    )
    work = bounded(world.work(ActionKind.MERGE, long, commit=part.commit_sha, inputs=push))
    await world.run(STEPS[ActionKind.MERGE], work)
    assert long.head() == part.commit_sha
