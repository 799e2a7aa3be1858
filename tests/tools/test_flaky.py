"""A test that fails and passes at one commit is named as flaky, for the gate and not for the coder; so is silence."""

from __future__ import annotations

import pytest

from ameide.infra.steps import StepFailed
from ameide.infra.tools import STEPS
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, FailureCode
from tests.tools.conftest import PROJECT
from tests.tools.world import Remote, World

FLIP = """\
import pathlib


def test_flips():
    seen = pathlib.Path("seen")
    before = seen.exists()
    seen.touch()
    assert before
"""
BROKEN = {"calc.py": "def add(a, b):\n    return a - b\n"}


@pytest.mark.parametrize("action", [ActionKind.VERIFY, ActionKind.PREFLIGHT])
async def test_a_flip_is_green_and_shown(world: World, project: Remote, action: ActionKind) -> None:
    commit = project.commit({"test_flip.py": FLIP})
    result = await world.run(STEPS[action], world.work(action, project, commit=commit, base=commit))
    assert "1 passed, 0 failed, 0 skipped, 1 flaky (test_flip.py::test_flips)" in result.summary
    assert [finding.id for finding in result.findings] == ["flaky:test_flip.py::test_flips"]
    assert world.checks() == {"test_calc.py::test_add": "PASSED", "test_flip.py::test_flips": "FLAKY"}
    assert world.log.count("-m pytest") == 2
    assert "test_flip.py::test_flips\n" in world.log.split("run once more")[1]


async def test_the_coder_is_told_of_what_fails_and_not_of_chance(world: World, project: Remote) -> None:
    base = project.head()
    commit = project.commit({"test_flip.py": FLIP, **BROKEN})
    work = world.work(ActionKind.VERIFY, project, commit=commit, base=base)
    with pytest.raises(StepFailed) as failed:
        await world.run(STEPS[ActionKind.VERIFY], work)
    assert [finding.id for finding in failed.value.findings] == ["test_calc.py::test_add"]
    assert "1 flaky" in failed.value.summary
    assert world.checks() == {"test_calc.py::test_add": "FAILED", "test_flip.py::test_flips": "FLAKY"}


async def test_a_suite_that_says_nothing_is_ended_before_its_timeout(world: World) -> None:
    suite = "{run: [sh, suite.sh], junit: report.xml, timeout: 300, silent_for: 6}"
    files = {**PROJECT, "ameide.yaml": f"version: 1\nverify: {{suites: {{default: {suite}}}}}\n"}
    remote = Remote.create(
        world.folder, "silent", {**files, "suite.sh": "for n in 1 2 3 4; do echo $n; sleep 1; done\nsleep 200\n"}
    )
    with pytest.raises(StepFailed) as failed:
        await world.run(STEPS[ActionKind.VERIFY], world.work(ActionKind.VERIFY, remote, commit=remote.head()))
    assert failed.value.code is FailureCode.VERIFICATION_FAILED
    assert "printed nothing for 6 s" in failed.value.findings[0].what_failed
    assert "\n4\n" in world.log
