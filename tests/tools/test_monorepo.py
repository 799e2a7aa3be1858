"""Several components in one repository: each is verified in its folder, and changed in no other."""

from __future__ import annotations

import pytest

from ameide.infra.coders.prompt import prompt
from ameide.infra.steps import StepFailed
from ameide.infra.tools import STEPS
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    CheckoutRules,
    FailureCode,
    PathRules,
    WorkRequest,
)
from tests.tools.conftest import PROJECT
from tests.tools.test_people import Typist, agent_work, typing
from tests.tools.world import Remote, World

RED = PROJECT["test_calc.py"].replace("== 3", "== 4")


@pytest.fixture
def monorepo(state_dir_remote: Remote) -> Remote:
    """Two components; the tests of one are red."""
    files = {f"services/green/{path}": text for path, text in PROJECT.items()}
    files |= {f"services/red/{path}": text for path, text in PROJECT.items()}
    state_dir_remote.commit({**files, "services/red/test_calc.py": RED, "shared.txt": "of all\n"})
    return state_dir_remote


@pytest.fixture
def state_dir_remote(world: World) -> Remote:
    return Remote.create(world.folder, "monorepo")


def in_folder(work: WorkRequest, folder: str, *, outside: bool = False) -> WorkRequest:
    work.workdir = folder
    work.checkout = CheckoutRules(paths_outside_workdir=outside)
    return work


async def test_a_component_is_verified_in_its_own_folder(world: World, monorepo: Remote) -> None:
    head = monorepo.head()
    for folder, status in (("services/green", "CHECK_STATUS_PASSED"), ("services/red/", "CHECK_STATUS_FAILED")):
        work = in_folder(world.work(ActionKind.VERIFY, monorepo, commit=head, base=head), folder)
        if folder == "services/green":
            await world.run(STEPS[ActionKind.VERIFY], work)
        else:
            with pytest.raises(StepFailed) as failed:
                await world.run(STEPS[ActionKind.VERIFY], work)
            assert failed.value.code is FailureCode.VERIFICATION_FAILED
        assert set(world.checks().values()) == {status.removeprefix("CHECK_STATUS_")}


async def test_a_change_elsewhere_is_a_violation_unless_the_policy_allows_it(world: World, monorepo: Remote) -> None:
    coder = Typist({"services/green/new.txt": "here\n", "shared.txt": "there\n"})
    with pytest.raises(StepFailed) as failed:
        await world.run(typing(coder), in_folder(agent_work(world, monorepo, monorepo.head()), "services/green"))
    assert failed.value.code is FailureCode.POLICY_VIOLATION
    [finding] = failed.value.findings
    assert finding.location == "shared.txt"
    assert "outside of the component's folder services/green" in finding.what_failed
    work = in_folder(agent_work(world, monorepo, monorepo.head()), "services/green", outside=True)
    result = await world.run(typing(coder), work)
    assert result.outputs
    assert result.outputs.changed_paths == ["services/green/new.txt", "shared.txt"]


async def test_a_folder_of_a_similar_name_is_another_one(world: World, monorepo: Remote) -> None:
    monorepo.commit({"services/green-too/file.txt": "x\n"})
    coder = Typist({"services/green-too/file.txt": "y\n"})
    with pytest.raises(StepFailed, match=r"services/green-too/file\.txt"):
        await world.run(typing(coder), in_folder(agent_work(world, monorepo, monorepo.head()), "services/green"))


def test_the_coder_is_told_where_it_works() -> None:
    work = WorkRequest(workdir="services/green", path_rules=PathRules(denied=["ameide.yaml"]))
    assert (
        "The component lies in `services/green/`. Change nothing outside of it. Do not change: ameide.yaml."
        in prompt(work)
    )
