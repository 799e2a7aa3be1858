"""What a Go, Node or Maven project without `ameide.yaml` says about its tests, and what is left to its people."""

from __future__ import annotations

import json

import pytest

from ameide.infra.repo_config import ConfigError, Output
from ameide.infra.repo_config.detecting import Found, detect

CI = ("--no-audit", "--no-fund", "--loglevel=error")
NODE_JUNIT = ("--test-reporter=junit", "--test-reporter-destination=.ameide/junit.xml")


async def found_in(files: dict[str, str]) -> Found | None:
    async def read(path: str) -> bytes | None:
        return files[path].encode() if path in files else None

    return await detect(sorted(files), read)


async def node(files: dict[str, str] | None = None, /, **scripts: str) -> Found:
    package = {
        "scripts": {name.replace("_", ":"): text for name, text in scripts.items()},
        "devDependencies": {"a": "1"},
    }
    found = await found_in({"package.json": json.dumps(package), "package-lock.json": "{}", **(files or {})})
    assert found is not None
    return found


async def test_a_go_module_is_tested_whole() -> None:
    found = await found_in({"go.mod": "module x\n", "x_test.go": "", "x.go": 'import "C"\n', "tools/go.mod": ""})
    assert found is not None
    suite = found.config.suites["default"]
    assert (suite.run, suite.output) == (("go", "test", "-json", "./..."), Output.GO_JSON)
    assert found.config.setup == (("go", "mod", "download"),)
    assert "tools/go.mod" in found.guessed[0]
    assert "C compiler" in found.guessed[1]
    assert suite.is_test("pkg/x_test.go")
    assert not suite.is_test("pkg/x.go")


async def test_what_is_vendored_is_not_downloaded() -> None:
    found = await found_in({"go.mod": "", "x_test.go": "", "vendor/modules.txt": ""})
    assert found is not None
    assert found.config.setup == ()


async def test_maven_reports_every_module() -> None:
    found = await found_in({"pom.xml": "<project><modules/></project>", "a/src/test/java/org/x/YTest.java": ""})
    assert found is not None
    assert found.config.suites["default"].run[-1] == "test"
    assert found.config.suites["default"].junit == "**/target/surefire-reports/TEST-*.xml"
    assert found.config.suites["default"].is_test("a/src/test/java/org/x/YTest.java")


@pytest.mark.parametrize(
    ("script", "run", "read"),
    [
        ("node --test", ("node", *NODE_JUNIT, "--test"), ".ameide/junit.xml"),
        (
            "c8 --100 node --test --test-reporter spec test",
            ("node", *NODE_JUNIT, "--test", "test"),
            ".ameide/junit.xml",
        ),
        (
            "node --test 'test/**/*.js' lib/*.js",
            ("sh", "-c", f"node {' '.join(NODE_JUNIT)} --test 'test/**/*.js' lib/*.js"),
            ".ameide/junit.xml",
        ),
        (
            "cross-env NODE_ENV=test nyc mocha -R dot --watch 'test/*.js'",
            (
                *("env", "NODE_ENV=test", "node_modules/.bin/mocha"),
                *("--reporter", "xunit", "--reporter-option", "output=.ameide/junit.xml", "test/*.js"),
            ),
            ".ameide/junit.xml",
        ),
        (
            "vitest --coverage",
            (
                *("node_modules/.bin/vitest", "run", "--reporter=default", "--reporter=junit"),
                *("--outputFile.junit=.ameide/junit.xml", "--coverage"),
            ),
            ".ameide/junit.xml",
        ),
        ("jest --watchAll", ("node_modules/.bin/jest", "--ci", "--json"), Output.JEST_JSON),
        ("tape test/*.js | tap-spec", ("node_modules/.bin/tape", "test/*.js"), Output.TAP),
        ("ava", ("node_modules/.bin/ava", "--tap"), Output.TAP),
    ],
)
async def test_the_runner_of_a_node_package_is_made_to_report(
    script: str, run: tuple[str, ...], read: str | Output
) -> None:
    config = (await node(test=script)).config
    suite = config.suites["default"]
    assert suite.run == run
    assert (suite.output or suite.junit) == read
    assert config.setup[0] == ("npm", "ci", *CI)
    assert (("mkdir", "-p", ".ameide") in config.setup) == bool(suite.junit)


async def test_a_script_that_runs_scripts_is_followed_to_its_tests() -> None:
    found = await node(
        test="npm run lint && npm run build && npm run test:unit && npm run test:types",
        lint="eslint",
        build="tsc -p .",
        test_unit="mocha",
        test_types="tsd",
    )
    assert found.config.setup[1] == ("npm", "exec", "-c", "tsc -p .")
    assert found.config.suites["default"].run[0] == "node_modules/.bin/mocha"
    assert "`npm run lint`; `npm run test:types`" in found.guessed[0]


async def test_a_script_that_runs_itself_comes_to_an_end() -> None:
    with pytest.raises(ConfigError, match="its runner is not recognised"):
        await node(test="npm run test")


@pytest.mark.parametrize(
    ("files", "scripts", "why"),
    [
        ({}, {"test": "react-scripts test"}, "package.json scripts.test: its runner is not recognised"),
        ({"package.json": "{"}, {}, "package.json: is no JSON"),
        ({"pom.xml": "<project>", "src/test/java/A.java": ""}, {"test": "x"}, "pom.xml: is no well-formed XML"),
    ],
)
async def test_what_cannot_be_run_says_why(files: dict[str, str], scripts: dict[str, str], why: str) -> None:
    with pytest.raises(ConfigError) as refused:
        await node(files, **scripts)
    assert why in str(refused.value)
    assert "ameide.yaml" in str(refused.value)


async def test_another_package_manager_is_left_to_an_ameide_yaml() -> None:
    with pytest.raises(ConfigError, match="the dependencies are locked for pnpm"):
        await found_in({"package.json": '{"scripts": {"test": "mocha"}}', "pnpm-lock.yaml": ""})


async def test_tools_in_javascript_do_not_hide_the_project() -> None:
    found = await node({"go.mod": "", "x_test.go": ""}, test="react-scripts test")
    assert found.ecosystem == "Go"
    both = await node({"go.mod": "", "x_test.go": ""}, test="mocha")
    assert "The tests of Node are left out" in both.guessed[-1]


async def test_no_test_is_no_project() -> None:
    no_tests = {"package.json": '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}', "go.mod": ""}
    assert await found_in(no_tests) is None
