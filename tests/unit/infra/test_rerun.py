"""What runs again: the failed tests alone where the runner can be told, else the suite, or nothing."""

from __future__ import annotations

import pytest

from ameide.infra.repo_config import Suite
from ameide.infra.tools.cases import TestCase, Verdict
from ameide.infra.tools.rerun import MAX_AGAIN, Argv, again

PYTEST = ("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=r.xml")
GO = ("go", "test", "-json", "-race", "./...")
MVN = ("mvn", "--batch-mode", "test")
NO_TEST_IS_FINE = ("-DfailIfNoTests=false", "-Dsurefire.failIfNoSpecifiedTests=false")


@pytest.mark.parametrize(
    ("run", "ids", "command"),
    [
        (
            PYTEST,
            ["t/test_a.py::test_x[1]", "t/test_a.py::T::test_y"],
            (*PYTEST, "t/test_a.py::test_x[1]", "t/test_a.py::T::test_y"),
        ),
        (PYTEST, ["unknown::test_x"], PYTEST),
        ((*PYTEST, "tests"), ["tests/test_a.py::test_x"], (*PYTEST, "tests")),
        (
            GO,
            ["x.org/b::TestB/sub", "x.org/a::TestA"],
            (*GO[:-1], "-count=1", "-run", "^(TestA|TestB)$", "x.org/a", "x.org/b"),
        ),
        (GO, ["x.org/b"], None),
        (
            MVN,
            [
                "m/src/test/java/org/x/YTest.java::adds(int)[1]",
                "m/src/test/java/org/x/YTest.java::takes",
                "org.x.ZTest::z",
            ],
            (*MVN, "-Dtest=org.x.YTest#adds+takes,org.x.ZTest#z", *NO_TEST_IS_FINE),
        ),
        (MVN, ["org.x.ZTest"], MVN),
        (("node_modules/.bin/mocha",), ["math::adds"], ("node_modules/.bin/mocha",)),
    ],
)
def test_only_what_failed_runs_again(run: Argv, ids: list[str], command: Argv | None) -> None:
    assert again(Suite("default", run), [TestCase(id, Verdict.FAILED) for id in ids]) == command


def test_nothing_and_too_much_are_not_run_again() -> None:
    suite = Suite("default", PYTEST)
    assert again(suite, []) is None
    assert again(suite, [TestCase(f"a.py::t{number}") for number in range(MAX_AGAIN + 1)]) is None
