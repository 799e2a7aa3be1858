"""Deleted, skipped and weakened tests, and reaching for the runner, in Go, JavaScript and Java."""

from __future__ import annotations

import pytest

from ameide.infra.repo_config import Suite
from ameide.infra.tools.cases import TestCase, Verdict
from ameide.infra.tools.plain_reaches import plain_reaches
from ameide.infra.tools.tampering import is_configuration
from ameide.infra.tools.weakened_tests import changed_test_files, weakened

GO = """package calc

import "testing"

var limit = 3 // as agreed

func TestAdd(t *testing.T) {
	if Add(1, 2) != 3 { t.Errorf("}") }
}

func TestSub(t *testing.T) {
	if Sub(2, 1) != 1 { t.Fatal(`{`) }
}
"""
JS = """const test = require('tape');
const pattern = /["'{]/;
test('adds', (t) => {
  t.equal(add(1, 2), 3); // it('no test')
  t.end();
});
describe('more', () => {
  it("divides", () => { assert.equal(divide(4, 2), `${2}`); });
});
"""
JAVA = """package org.x;

import org.junit.Test;

public class XTest {
    private static final int LIMIT = 3;

    @Test
    public void adds() {
        assertEquals(3, X.add(1, 2));
    }

    /* @Test void never() {} */
    @ParameterizedTest
    void subtracts(int a) { assertEquals(1, X.sub(a)); }
}
"""
SUITE = Suite("default", ())


class Files:
    def __init__(self, files: dict[str, str]) -> None:
        self._files = files

    async def paths(self) -> list[str]:
        return sorted(self._files)

    async def read(self, path: str) -> bytes | None:
        return self._files[path].encode() if path in self._files else None


async def found(path: str, before: str, after: str | None, *cases: TestCase) -> dict[str, str]:
    head = Files({} if after is None else {path: after})
    changed = {path: "D" if after is None else "M"}
    findings = await weakened(Files({path: before}), head, changed, SUITE, cases)
    return {finding.id.removeprefix(f"{path}::"): finding.what_failed for finding in findings}


@pytest.mark.parametrize(
    ("path", "before", "old", "new", "test", "what"),
    [
        ("calc_test.go", GO, "TestSub", "testSub", "TestSub", "was deleted or renamed"),
        ("calc_test.go", GO, "\tif Add", "\tt.Skip()\n\tif Add", "TestAdd", "may now be skipped"),
        ("calc_test.go", GO, 't.Errorf("}")', "", "TestAdd", "makes 0 assertions instead of 1"),
        ("calc_test.go", GO, "!= 3", "!= 4", "TestAdd", "was rewritten"),
        ("calc_test.go", GO, "package", "//go:build never\n\npackage", "TestSub", "may now be skipped"),
        ("test/a.js", JS, "test('adds'", "test.skip('adds'", "adds", "may now be skipped"),
        ("test/a.js", JS, "describe('more'", "describe.skip('more'", "divides", "may now be skipped"),
        ("test/a.js", JS, 'it("divides"', 'it.only("divides"', "divides", "may now be skipped"),
        ("test/a.js", JS, "  t.equal(add(1, 2), 3);", "", "adds", "makes 1 assertions instead of 2"),
        ("a.spec.ts", JS, "'adds'", "'adds nothing'", "adds", "was deleted or renamed"),
        ("src/test/java/org/x/XTest.java", JAVA, "    @Test\n", "    @Test @Disabled\n", "adds", "may now be skipped"),
        (
            "src/test/java/org/x/XTest.java",
            JAVA,
            "public class",
            "@Ignore public class",
            "subtracts",
            "may now be skipped",
        ),
        ("src/test/java/org/x/XTest.java", JAVA, "    @ParameterizedTest\n", "", "subtracts", "was deleted or renamed"),
    ],
)
async def test_what_a_change_takes_from_a_test_is_named(
    path: str, before: str, old: str, new: str, test: str, what: str
) -> None:
    assert old in before
    findings = await found(path, before, before.replace(old, new, 1))
    assert what in findings[test]


@pytest.mark.parametrize(
    ("path", "before", "count"), [("calc_test.go", GO, 2), ("test/a.js", JS, 2), ("src/test/java/X.java", JAVA, 2)]
)
async def test_a_deleted_file_takes_all_of_its_tests(path: str, before: str, count: int) -> None:
    findings = await found(path, before, None)
    assert sum("was deleted" in what for what in findings.values()) == count


@pytest.mark.parametrize(
    ("path", "before", "old", "new"),
    [
        ("calc_test.go", GO, "3 // as agreed", "3  // as asked"),
        ("test/a.js", JS, "// it('no test')", "/* nothing */"),
        ("src/test/java/org/x/XTest.java", JAVA, "/* @Test void never() {} */", ""),
    ],
)
async def test_comments_and_layout_are_nothing(path: str, before: str, old: str, new: str) -> None:
    assert old in before
    assert await found(path, before, before.replace(old, new)) == {}
    assert await found(path, before, before + "\n\n") == {}


async def test_what_tests_stand_on_is_named() -> None:
    findings = await found("calc_test.go", GO, GO.replace("limit = 3", "limit = 4"))
    assert list(findings) == ["test-foundations:calc_test.go"]
    java = "src/test/java/X.java"
    assert list(await found(java, JAVA, JAVA.replace("LIMIT = 3", "LIMIT = 4"))) == [f"test-foundations:{java}"]


async def test_a_test_that_reports_itself_as_skipped_is_named() -> None:
    skipped = TestCase("example.org/calc::TestAdd", Verdict.SKIPPED)
    findings = await found("calc_test.go", GO, GO + "\n// more\n", skipped)
    assert "is now skipped" in findings["TestAdd"]


@pytest.mark.parametrize(
    ("path", "source", "names"),
    [
        ("calc.go", "func init() { os.Exit(0) }", {"os.Exit"}),
        ("calc_test.go", "func TestMain(m *testing.M) {}", {"func TestMain"}),
        ("calc.go", "// os.Exit\nvar text = `os.Exit`", set[str]()),
        ("lib/a.js", "process.exit(0)", {"process.exit"}),
        ("lib/a.js", "require('tape').Test.prototype.equal = f", {"the word tape", "prototype.equal ="}),
        (
            "src/main/java/X.java",
            'System.exit(0); var f = "target/surefire-reports";',
            {"System.exit", "the word surefire"},
        ),
        ("README.md", "process.exit(0)", set[str]()),
    ],
)
def test_reaching_for_the_runner_is_seen(path: str, source: str, names: set[str]) -> None:
    assert names <= set(plain_reaches(path, source.encode(), SUITE.is_test(path)))
    assert names or not plain_reaches(path, source.encode(), SUITE.is_test(path))


def test_configuration_of_every_ecosystem_counts_as_a_change_of_tests() -> None:
    paths = ["go.mod", "package.json", "jest.config.ts", ".mocharc.yml", "a/pom.xml", "tsconfig.test.json", ".npmrc"]
    assert [path for path in paths if not is_configuration(path)] == []
    assert not is_configuration("src/config.ts")
    changed = dict.fromkeys([*paths, "x_test.go", "a.spec.ts", "src/test/java/X.java", "src/x.go", "index.js"], "M")
    assert set(changed_test_files(SUITE, changed)) == changed.keys() - {"src/x.go", "index.js"}
