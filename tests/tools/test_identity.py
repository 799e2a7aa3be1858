"""Who the commits are by, and whether they are signed off, as the policy says."""

from __future__ import annotations

import pytest
from protovalidate import ValidationError, validate

from ameide.infra.tools import STEPS
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, CommitIdentity, WorkInputs
from tests.tools.test_people import BRANCH, Typist, agent_work, typing
from tests.tools.world import Remote, World, git

IDENTITY = CommitIdentity(
    author_name="Robot of Team Blue",
    author_email="robot@blue.example.org",
    committer_name="Delivery of Team Blue",
    committer_email="delivery@blue.example.org",
    sign_off=True,
)
FORM = "--format=%an <%ae>|%cn <%ce>|%(trailers:key=Signed-off-by,valueonly,separator=%x2C)"
COMMITTER = "Delivery of Team Blue <delivery@blue.example.org>"
CODER = "Robot of Team Blue <robot@blue.example.org>"


async def test_commits_are_by_whom_the_policy_names_and_signed_off(world: World, project: Remote) -> None:
    main = project.head()
    work = agent_work(world, project, main)
    work.commit_identity = IDENTITY
    coder = Typist({"coder.txt": "its\n"}, lambda: project.commit({"person.txt": "mine\n"}, branch=BRANCH))
    await world.run(typing(coder), work)
    # Put on top of a person's commit, it is signed once.
    assert git(project.bare, "log", "-1", FORM, BRANCH) == f"{CODER}|{COMMITTER}|{COMMITTER}"
    project.commit({"main.txt": "moved\n"}, onto=main)
    inputs = WorkInputs(branch="agent/candidate/chg-1/1/1", target_branch="main")
    merge = world.work(ActionKind.MERGE, project, commit=project.head(BRANCH), base=main, inputs=inputs)
    merge.commit_identity = IDENTITY
    await world.run(STEPS[ActionKind.MERGE], merge)
    assert git(project.bare, "log", "-1", FORM, inputs.branch) == f"{COMMITTER}|{COMMITTER}|{COMMITTER}"


async def test_without_a_policy_they_are_by_ameide_and_unsigned(world: World, project: Remote) -> None:
    await world.run(typing(Typist({"coder.txt": "its\n"})), agent_work(world, project, project.head()))
    assert git(project.bare, "log", "-1", FORM, BRANCH) == (
        "ameide coder <coder@ameide.invalid>|ameide <ameide@ameide.invalid>|"
    )


@pytest.mark.parametrize(
    "identity",
    [
        CommitIdentity(author_name="Robot"),
        CommitIdentity(committer_email="robot@example.org"),
        CommitIdentity(author_name="Ro<bot", author_email="robot@example.org"),
        CommitIdentity(author_name="Robot\nEvil: yes", author_email="robot@example.org"),
        CommitIdentity(author_name="...", author_email="robot@example.org"),
        CommitIdentity(author_name="Robot", author_email="robot"),
    ],
)
def test_a_name_that_git_would_not_take_is_refused(identity: CommitIdentity) -> None:
    with pytest.raises(ValidationError):
        validate(identity)
    validate(IDENTITY)
