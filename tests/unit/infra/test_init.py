"""`ameide init`: the file that it writes says what detection says, and nothing that is there is lost."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ameide.cli.root import root
from ameide.errors import InvalidArgument
from ameide.infra.repo_config import FolderTree, configuration, parse
from ameide.infra.repo_config.detecting import detect

PROJECTS = {
    "Python": {"pyproject.toml": "[project]\nname = 'x'\nversion = '1'\n", "tests/test_x.py": ""},
    "Go": {"go.mod": "module x\n", "x_test.go": "", "tools/go.mod": ""},
    "Node": {"package.json": '{"scripts": {"test": "node --test \'test/*.js\'"}, "devDependencies": {"é": "1"}}'},
    "Maven": {"pom.xml": "<project/>", "src/test/java/XTest.java": "", "mvnw": ""},
}


def make(folder: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return folder


def init(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(root, ["init", "--folder", str(folder), *options], catch_exceptions=True)


@pytest.mark.parametrize("ecosystem", PROJECTS)
async def test_what_is_written_is_what_was_detected(tmp_path: Path, ecosystem: str) -> None:
    tree = FolderTree(make(tmp_path, PROJECTS[ecosystem]))
    found = await detect(await tree.paths(), tree.read)
    assert found is not None
    done = await asyncio.to_thread(init, tmp_path)
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"{ecosystem}: {found.found[0]}")
    assert all(f"Guessed: {guess}" in done.output for guess in found.guessed)
    text = (tmp_path / "ameide.yaml").read_text(encoding="utf-8")
    assert parse(text) == replace(found.config, detected=False)
    assert await configuration(tree) == parse(text)
    assert "$schema" in text
    assert all(guess.split()[0] in text for guess in found.guessed)


def test_a_file_that_is_there_stays_unless_forced(tmp_path: Path) -> None:
    make(tmp_path, {**PROJECTS["Go"], "ameide.yaml": "mine\n"})
    refused = init(tmp_path)
    assert refused.exit_code != 0
    assert "--force" in str(refused.exception)
    assert (tmp_path / "ameide.yaml").read_text() == "mine\n"
    assert init(tmp_path, "--force").exit_code == 0
    assert "go-json" in (tmp_path / "ameide.yaml").read_text()


def test_what_cannot_be_written_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    make(tmp_path, PROJECTS["Go"])
    (tmp_path / "ameide.yaml").mkdir()
    refused = init(tmp_path, "--force")
    assert isinstance(refused.exception, InvalidArgument)
    assert refused.exception.field == str(tmp_path / "ameide.yaml")
    assert not list(tmp_path.glob(".ameide.yaml.*"))


def test_nothing_known_writes_nothing(tmp_path: Path) -> None:
    refused = init(tmp_path)
    assert "no Python, Go, Node or Maven project" in str(refused.exception)
    assert list(tmp_path.iterdir()) == []


def test_json_and_the_schema_are_for_programs(tmp_path: Path) -> None:
    said = json.loads(init(make(tmp_path, PROJECTS["Maven"]), "--json").output)
    assert said["ecosystem"] == "Maven"
    assert len(said["guessed"]) == 2
    assert json.loads(init(tmp_path, "--schema").output)["$id"] == "urn:ameide:schema:repository:1"
