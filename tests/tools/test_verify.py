"""Green needs an exit code and a report that agree; red names its tests; green says what became of the tests."""

from __future__ import annotations

import textwrap

import pytest

from ameide.infra.steps import StepFailed
from ameide.infra.tools import STEPS
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, FailureCode, Finding, FindingClass, WorkResult
from tests.tools.conftest import PROJECT
from tests.tools.world import Remote, World

JUNIT = '<testsuites><testsuite><testcase classname="test_calc" name="test_add"/></testsuite></testsuites>'
MAY_FAIL = "import pytest\n" + PROJECT["test_calc.py"].replace("def test", "@pytest.mark.xfail\ndef test")


def with_suite(script: str) -> dict[str, str]:
    """A project whose suite is a script, so that it can lie."""
    suite = "version: 1\nverify: {suites: {default: {run: [sh, suite.sh], junit: report.xml, timeout: 5}}}\n"
    return {**PROJECT, "ameide.yaml": suite, "suite.sh": textwrap.dedent(script)}


async def verify(world: World, remote: Remote, commit: str, base: str) -> WorkResult:
    return await world.run(STEPS[ActionKind.VERIFY], world.work(ActionKind.VERIFY, remote, commit=commit, base=base))


async def red(world: World, remote: Remote, commit: str, base: str = "") -> StepFailed:
    with pytest.raises(StepFailed) as failed:
        await verify(world, remote, commit, base or commit)
    return failed.value


def policy(findings: list[Finding]) -> dict[str, str]:
    return {found.id: found.what_failed for found in findings if found.class_ is FindingClass.POLICY_VIOLATION}


async def test_a_green_suite_is_green(world: World, project: Remote) -> None:
    result = await verify(world, project, project.head(), project.head())
    assert "1 passed, 0 failed" in result.summary
    assert world.checks() == {"test_calc.py::test_add": "PASSED"}
    assert {artifact.name for artifact in world.bundle.artifacts} == {"junit.xml"}


async def test_a_failing_test_is_a_finding_with_its_id(world: World, project: Remote) -> None:
    base = project.head()
    commit = project.commit({"calc.py": "def add(a, b):\n    return a - b\n"})
    failed = await red(world, project, commit, base)
    assert failed.code is FailureCode.VERIFICATION_FAILED
    assert [(found.class_, found.id) for found in failed.findings] == [
        (FindingClass.TEST_FAILURE, "test_calc.py::test_add")
    ]
    assert "assert" in failed.findings[0].what_failed


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (f"echo '{JUNIT}' > report.xml; exit 1", "No test is reported as failed, but the suite exited 1"),
        ("exit 0", "it is missing"),
        ("echo '<testsuites/>' > report.xml", "No test ran"),
        (
            f"echo '{JUNIT.replace('/></testsuite>', '><skipped/></testcase></testsuite>')}' > report.xml",
            "No test ran (1 skipped)",
        ),
        ("echo 'not xml' > report.xml", "no well-formed XML"),
        ("ln -s /etc/passwd report.xml", "is a link"),
        ("mkfifo report.xml", "is not a plain file"),
        (
            f"echo '{JUNIT.replace('/></testsuite>', '><failure/></testcase></testsuite>')}' > report.xml",
            "exited 0 although its report has failed tests",
        ),
        ("sleep 60", "was not done after 5 s"),
    ],
)
async def test_what_cannot_be_trusted_is_red(world: World, state_dir: object, script: str, why: str) -> None:
    remote = Remote.create(world.folder, "liar", with_suite(script))
    failed = await red(world, remote, remote.head())
    assert failed.code is FailureCode.VERIFICATION_FAILED
    assert why in " ".join(found.what_failed for found in failed.findings)


async def test_a_report_that_was_committed_does_not_count(world: World) -> None:
    remote = Remote.create(world.folder, "stale", {**with_suite("exit 0"), "report.xml": JUNIT})
    failed = await red(world, remote, remote.head())
    assert "was there before the suite ran" in failed.findings[0].what_failed


async def test_entities_are_refused(world: World) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><testsuites>&b;</testsuites>'
    remote = Remote.create(world.folder, "bomb", {**with_suite("cp bomb.xml report.xml"), "bomb.xml": bomb})
    failed = await red(world, remote, remote.head())
    assert "declares a document type" in failed.findings[0].what_failed


async def test_the_configuration_is_that_of_the_base(world: World, project: Remote) -> None:
    base = project.head()
    commit = project.commit(
        {
            "ameide.yaml": with_suite("")["ameide.yaml"],
            "suite.sh": f"echo '{JUNIT}' > report.xml",
            "calc.py": "def add(a, b):\n    return 0\n",
        }
    )
    failed = await red(world, project, commit, base)
    assert [found.id for found in failed.findings] == ["test_calc.py::test_add"]


@pytest.mark.parametrize(
    ("files", "id", "what"),
    [
        ({"test_calc.py": "def test_other():\n    pass\n"}, "test_calc.py::test_add", "was deleted or renamed"),
        (
            {"test_calc.py": "from calc import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n"},
            "test_calc.py::test_add",
            "makes 1 assertions instead of 2",
        ),
        (
            {"test_calc.py": MAY_FAIL},
            "test_calc.py::test_add",
            "may now be skipped or fail",
        ),
        ({"conftest.py": "collect_ignore = []\n"}, "test-configuration:conftest.py", "was added"),
    ],
)
async def test_weakened_tests_are_findings_on_a_green_result(
    world: World, project: Remote, files: dict[str, str], id: str, what: str
) -> None:
    base = project.head()
    result = await verify(world, project, project.commit(files), base)
    assert what in policy(list(result.findings))[id]
    assert "Changed test files: " in result.summary


async def test_a_missing_program_is_named(world: World) -> None:
    config = PROJECT["ameide.yaml"].replace("[python, -m,", "[no-such-runner, -m,")
    remote = Remote.create(world.folder, "toolless", {**PROJECT, "ameide.yaml": config})
    failed = await red(world, remote, remote.head())
    assert failed.code is FailureCode.TOOL_FAILED
    assert "no-such-runner: no such program" in failed.summary


@pytest.mark.parametrize(
    ("text", "field", "remedy"),
    [
        ("version: 1\n", "ameide.yaml (top level)", "Add `verify:`"),
        ("version: 1\nverify: {suites: {default: {run: pytest, junit: r.xml}}}\n", "default.run", "Write a list"),
        ("version: [", "ameide.yaml:", "Correct the syntax"),
    ],
)
async def test_a_malformed_configuration_names_file_field_and_remedy(
    world: World, text: str, field: str, remedy: str
) -> None:
    remote = Remote.create(world.folder, "malformed", {**PROJECT, "ameide.yaml": text})
    failed = await red(world, remote, remote.head())
    assert failed.code is FailureCode.TOOL_FAILED
    assert field in failed.summary
    assert remedy in failed.summary


async def test_a_red_base_is_blocked_by_repo_health(world: World, project: Remote) -> None:
    commit = project.commit({"calc.py": "def add(a, b):\n    return 0\n"})
    with pytest.raises(StepFailed) as failed:
        await world.run(STEPS[ActionKind.PREFLIGHT], world.work(ActionKind.PREFLIGHT, project))
    assert failed.value.code is FailureCode.VERIFICATION_FAILED
    assert failed.value.outputs.commit_sha == commit
    assert [(found.class_, found.id) for found in failed.value.findings] == [
        (FindingClass.BLOCKED_BY_REPO_HEALTH, "test_calc.py::test_add")
    ]


async def test_children_of_verify_cannot_read_what_is_ours(world: World) -> None:
    remote = Remote.create(world.folder, "spy", with_suite("env; id -u; cat ../private/work.log && exit 3"))
    failed = await red(world, remote, remote.head())
    assert "AMEIDE_TOKEN" not in world.log
    if world.settings.user is not None:
        assert f"\n{world.settings.user.uid}\n" in world.log
        assert "exited 3" not in failed.summary
