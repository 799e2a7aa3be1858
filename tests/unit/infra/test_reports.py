"""What suites print, as each tool really prints it: stable ids, verdicts, messages, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from ameide.infra.repo_config import Output
from ameide.infra.tools.cases import Files, ReportRefused, TestCase, Verdict
from ameide.infra.tools.junit import read_junit
from ameide.infra.tools.reports import as_junit, printed

FILES = Files.of(["test/a.test.js", "calc/calc_test.go", "src/test/java/org/x/PathTest.java"], "/w/tree")


def read(output: Output, text: str) -> dict[str, tuple[str, str]]:
    cases = printed(output, [line.encode() for line in text.splitlines(keepends=True)], FILES)
    return {case.id: (case.verdict.name, case.message) for case in cases}


def events(*events: Mapping[str, object]) -> str:
    return "".join(json.dumps(event) + "\n" for event in events)


def go(action: str, test: str = "", **more: object) -> dict[str, object]:
    return {"Action": action, "Package": "example.org/calc", **({"Test": test} if test else {}), **more}


def test_go_names_tests_by_package_and_keeps_what_a_failed_one_said() -> None:
    said = go("output", "TestSub", Output="    calc_test.go:9: got 3\n")
    text = "go: downloading x v1\n" + events(
        go("start"),
        go("run", "TestAdd"),
        go("output", "TestAdd", Output="=== RUN   TestAdd\n"),
        go("pass", "TestAdd", Elapsed=0.25),
        go("run", "TestSub"),
        said,
        go("output", "TestSub", Output="--- FAIL: TestSub (0.00s)\n"),
        go("fail", "TestSub"),
        go("run", "TestLater"),
        go("skip", "TestLater"),
        go("fail"),
    )
    assert read(Output.GO_JSON, text) == {
        "example.org/calc::TestAdd": ("PASSED", ""),
        "example.org/calc::TestSub": ("FAILED", "calc_test.go:9: got 3\n--- FAIL: TestSub (0.00s)"),
        "example.org/calc::TestLater": ("SKIPPED", ""),
    }
    failed = TestCase("example.org/calc::TestSub", Verdict.FAILED, "calc_test.go:9: got 3")
    assert FILES.place(failed) == "calc/calc_test.go:9"


def test_a_go_package_that_does_not_build_or_dies_is_a_failure_of_its_own() -> None:
    built = {"Action": "build-output", "ImportPath": "example.org/calc [test]", "Output": "calc.go:3: undefined: x\n"}
    failed = events(built, go("output", Output="FAIL\n"), go("fail", FailedBuild="example.org/calc [test]"))
    assert read(Output.GO_JSON, failed) == {"example.org/calc": ("FAILED", "calc.go:3: undefined: x\nFAIL")}
    died = events(go("run", "TestExit"), go("output", "TestExit", Output="bye\n"), go("fail"))
    assert read(Output.GO_JSON, died) == {"example.org/calc::TestExit": ("FAILED", "bye")}


def test_tape_counts_its_points_by_the_test_that_they_belong_to() -> None:
    text = (
        "TAP version 13\n# equal\nok 1 (unnamed assert)\n# not equal\nok 2 fine\nnot ok 3 should be falsy\n  ---\n"
        "    at: Test.<anonymous> (/w/tree/test/a.test.js:12:3)\n  ...\nsome noise\n# SKIP later\n\n1..3\n"
        "# tests 3\n# fail  1\n"
    )
    found = read(Output.TAP, text)
    assert {id: verdict for id, (verdict, _) in found.items()} == {"equal": "PASSED", "not equal": "FAILED"}
    failed = TestCase("not equal", Verdict.FAILED, found["not equal"][1])
    assert failed.message.startswith("should be falsy")
    assert FILES.place(failed) == "test/a.test.js:12"


def test_points_by_themselves_are_tests_and_directives_are_heeded() -> None:
    text = (
        "ok 1 - a # time=2ms\nok 2 - b # SKIP no net\nnot ok 3 - c # TODO one day\n    ok 1 - inner\nok 4 - d\n1..4\n"
    )
    verdicts = {id: verdict for id, (verdict, _) in read(Output.TAP, text).items()}
    assert verdicts == {"a": "PASSED", "b": "SKIPPED", "c": "SKIPPED", "d": "PASSED"}


def test_jest_answers_in_one_line_among_others() -> None:
    tests: list[dict[str, object]] = [
        {"ancestorTitles": ["math"], "title": "adds", "status": "passed", "duration": 2, "failureMessages": []},
        {
            "ancestorTitles": [],
            "title": "fails",
            "status": "failed",
            "failureMessages": ["at /w/tree/test/a.test.js:3:1"],
        },
        {"ancestorTitles": [], "title": "later", "status": "pending", "failureMessages": []},
    ]
    results: list[dict[str, object]] = [
        {"name": "/w/tree/test/a.test.js", "status": "failed", "assertionResults": tests},
        {"name": "/w/tree/gone.js", "status": "failed", "message": "Cannot find module", "assertionResults": []},
    ]
    found = read(
        Output.JEST_JSON, f"FAIL\n{json.dumps({'numFailedTests': 1, 'testResults': results}, separators=(',', ':'))}\n"
    )
    assert {id: verdict for id, (verdict, _) in found.items()} == {
        "test/a.test.js::math::adds": "PASSED",
        "test/a.test.js::fails": "FAILED",
        "test/a.test.js::later": "SKIPPED",
        "/w/tree/gone.js": "FAILED",
    }


@pytest.mark.parametrize(
    ("output", "text", "why"),
    [
        (Output.GO_JSON, "no such thing\n", "no event"),
        (Output.GO_JSON, '{"Action": 1\n', "no event"),
        (Output.TAP, "ok 1 - a\n", "did not come to its end"),
        (Output.TAP, "1..3\nok 1 - a\n", "says 3 tests, and 1"),
        (Output.JEST_JSON, "", "no line"),
        (Output.JEST_JSON, '{"num":1,"testResults":[{"assertionResults":[{}]}]}\n', "not those"),
    ],
)
def test_what_does_not_come_to_its_end_is_refused(output: Output, text: str, why: str) -> None:
    with pytest.raises(ReportRefused, match=why):
        read(output, text)


@pytest.mark.parametrize(
    ("attributes", "id"),
    [
        ('classname="org.x.PathTest" name="adds"', "src/test/java/org/x/PathTest.java::adds"),
        (
            'classname="org.x.PathTest$Inner" name="adds(int)[1]"',
            "src/test/java/org/x/PathTest.java::Inner::adds(int)[1]",
        ),
        ('classname="org.x.OtherTest" name="adds"', "org.x.OtherTest::adds"),
        ('classname="math" name="adds" file="/w/tree/test/a.test.js"', "test/a.test.js::math::adds"),
        ('classname="test/a.test.js" name="math &gt; adds"', "test/a.test.js::math > adds"),
        ('classname="test" name="adds" file="/w/tree/test/a.test.js"', "test/a.test.js::adds"),
    ],
)
def test_junit_of_other_ecosystems_gets_the_file_where_it_can_be_told(attributes: str, id: str) -> None:
    (case,) = read_junit(f"<testsuite><testcase {attributes}/></testsuite>".encode(), FILES)
    assert case.id == id


def test_what_was_printed_becomes_junit_whatever_is_in_it() -> None:
    cases = [TestCase("a::b", Verdict.FAILED, "\x00<&\ud800\x1b[31m"), TestCase("c", Verdict.SKIPPED)]
    again = read_junit(as_junit("default", cases), FILES)
    assert [(case.id, case.verdict) for case in again] == [("a::b", Verdict.FAILED), ("c", Verdict.SKIPPED)]
