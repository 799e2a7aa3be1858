"""People who push to the branch of a run: before an attempt, while it works, after it; nothing of theirs is lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ameide.infra.coders.port import CoderReport, CoderTask
from ameide.infra.coding import coding
from ameide.infra.steps import CommandResult, Step, StepContext, StepFailed
from ameide.infra.tools import STEPS
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    FailureCode,
    FindingClass,
    WorkInputs,
    WorkKind,
    WorkRequest,
)
from tests.tools.world import Remote, World, git

BRANCH = "agent/coder/chg-1/1"


@dataclass
class Typist:
    """A coder that writes files, and lets a person act meanwhile."""

    files: Mapping[str, str]
    meanwhile: Callable[[], object] = lambda: None
    removes: tuple[str, ...] = ()
    then: Mapping[str, str] = field(default_factory=dict[str, str])
    runs: int = 0

    async def prepare(self, ctx: StepContext) -> None:
        return

    async def run(self, task: CoderTask) -> CoderReport:
        self.runs += 1
        for path, text in self.files.items():
            (task.workspace.tree / path).write_text(text)
        for path in self.removes:
            shutil.rmtree(task.workspace.tree / path)
        for path, text in self.then.items():
            (task.workspace.tree / path).write_text(text)
        task.workspace.give_to_child()
        self.meanwhile()
        return CoderReport("typist", "1", ("typist",), CommandResult(0, "", Path()), "Typed.")


async def _nothing(_ctx: StepContext, _since: str) -> None:
    return


def typing(coder: Typist) -> Step:
    """The step for agent work with this coder."""
    return coding(_nothing, lambda _name: coder)


def agent_work(world: World, remote: Remote, start: str, expected: str = "") -> WorkRequest:
    inputs = WorkInputs(iteration=1, branch=BRANCH, expected_branch_sha=expected, requirement_title="Type")
    work = world.work(ActionKind.PUBLISH, remote, commit=start, base=remote.head(), inputs=inputs, id="wrk-1")
    work.work_kind = WorkKind.AGENT_WORK
    return work


async def test_what_was_pushed_before_an_attempt_is_its_base(world: World, project: Remote) -> None:
    main = project.head()
    person = project.commit({"person.txt": "mine\n"}, branch=BRANCH)
    result = await world.run(typing(Typist({"coder.txt": "its\n"})), agent_work(world, project, main))
    assert result.outputs
    assert git(project.bare, "rev-parse", f"{BRANCH}^") == person
    assert result.outputs.commit_sha == project.head(BRANCH)
    assert result.outputs.changed_paths == ["coder.txt", "person.txt"]
    assert person[:12] in result.summary


async def test_what_was_pushed_during_an_attempt_lies_below_it(world: World, project: Remote) -> None:
    main = project.head()
    persons: list[str] = []
    coder = Typist(
        {"coder.txt": "its\n"}, lambda: persons.append(project.commit({"person.txt": "mine\n"}, branch=BRANCH))
    )
    result = await world.run(typing(coder), agent_work(world, project, main))
    assert git(project.bare, "rev-parse", f"{BRANCH}^") == persons[0]
    assert git(project.bare, "show", f"{BRANCH}:person.txt") == "mine"
    assert git(project.bare, "log", "-1", "--format=%(trailers:key=Ameide-Work,valueonly)", BRANCH).strip() == "wrk-1"
    assert "pushed meanwhile" in result.summary
    again = await world.run(typing(coder), agent_work(world, project, main))
    assert again.outputs
    assert (again.outputs.commit_sha, coder.runs) == (project.head(BRANCH), 1)


async def test_the_same_place_goes_back_to_the_coder_with_the_commit(world: World, project: Remote) -> None:
    main = project.head()
    persons: list[str] = []
    coder = Typist(
        {"calc.py": "# the coder\n"}, lambda: persons.append(project.commit({"calc.py": "# me\n"}, branch=BRANCH))
    )
    with pytest.raises(StepFailed) as failed:
        await world.run(typing(coder), agent_work(world, project, main))
    assert failed.value.code is FailureCode.CONFLICT
    [finding] = failed.value.findings
    assert (finding.class_, finding.id) == (FindingClass.MERGE_CONFLICT, "calc.py")
    assert persons[0][:12] in finding.what_failed
    assert failed.value.outputs.commit_sha == project.head(BRANCH) == persons[0]


async def test_a_push_on_top_of_a_lost_attempt_is_not_worked_on_again(world: World, project: Remote) -> None:
    main = project.head()
    coder = Typist({"coder.txt": "its\n"})
    await world.run(typing(coder), agent_work(world, project, main))
    git(project.clone, "fetch", "-q", "origin")
    person = project.commit({"person.txt": "mine\n"}, branch=BRANCH, onto=project.head(BRANCH))
    again = await world.run(typing(coder), agent_work(world, project, main))
    assert again.outputs
    assert (again.outputs.commit_sha, coder.runs) == (person, 1)


@pytest.mark.parametrize("made_before", [False, True], ids=["made by this run", "made by the run before"])
@pytest.mark.parametrize("push", [False, True])
async def test_a_merge_waits_for_what_a_person_pushed(
    world: World, project: Remote, push: bool, made_before: bool
) -> None:
    main = project.head()
    known = project.commit({"coder.txt": "its\n"}, branch=BRANCH)
    person = project.commit({"person.txt": "mine\n"}, branch=BRANCH)
    inputs = WorkInputs(
        push=push,
        branch="agent/candidate/chg-1/1/1",
        target_branch="main",
        candidate_sha=known if push else "",
        expected_main_sha=main if push else "",
        agent_branch=BRANCH,
        expected_agent_sha="" if made_before else known,
    )
    work = world.work(ActionKind.MERGE, project, commit=known, base=main, inputs=inputs)
    with pytest.raises(StepFailed) as failed:
        await world.run(STEPS[ActionKind.MERGE], work)
    assert failed.value.code is FailureCode.CONFLICT
    assert [finding.id for finding in failed.value.findings] == ["branch_moved"]
    assert failed.value.outputs.commit_sha == person
    assert project.head() == main


async def test_a_conflict_names_the_commit_and_the_change_it_is_with(world: World, project: Remote) -> None:
    main = project.head()
    ours = project.commit({"calc.py": "# ours\n"}, branch=BRANCH)
    theirs = project.commit({"calc.py": "# theirs\n"}, onto=main, message="Theirs\n\nAmeide-Change: chg-other")
    project.commit({"other.txt": "later\n"})
    inputs = WorkInputs(branch="agent/candidate/chg-1/1/1", target_branch="main")
    with pytest.raises(StepFailed) as failed:
        await world.run(
            STEPS[ActionKind.MERGE], world.work(ActionKind.MERGE, project, commit=ours, base=main, inputs=inputs)
        )
    [finding] = failed.value.findings
    assert f"by {theirs[:12]} “Theirs” of change chg-other" in finding.what_failed
