"""`ameide repo add`: what it finds out by itself, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.infra.git_servers import bare_repository, git, refuse_pushes

from .conftest import CommandLine, Script


def test_the_name_and_the_branch_come_from_the_remote(ameide: CommandLine, script: Script, tmp_path: Path) -> None:
    bare = bare_repository(tmp_path, "My_Orders", branch="trunk")
    answer = ameide("repo", "add", str(bare))
    assert answer.code == 0, answer
    [registered] = script.registered
    assert (registered.name, registered.default_branch, registered.url) == ("my-orders", "trunk", str(bare))
    assert f"my-orders is registered: {bare}, branch trunk" in answer.out
    assert "pass  repository: push" in answer.out
    assert git(bare, "for-each-ref", "--format=%(refname)") == "refs/heads/trunk"


def test_a_component_of_a_larger_repository_has_a_name_of_its_own(
    ameide: CommandLine, script: Script, tmp_path: Path
) -> None:
    bare = bare_repository(tmp_path)
    assert ameide("repo", "add", str(bare), "--workdir", "tests/").code == 0
    assert (script.registered[0].name, script.registered[0].workdir) == ("tests", "tests/")


def test_what_is_missing_is_told_and_the_repository_is_registered(
    ameide: CommandLine, script: Script, tmp_path: Path
) -> None:
    bare = bare_repository(tmp_path)
    refuse_pushes(bare, "refs/heads/agent/*", "robots are not welcome here")
    answer = ameide("repo", "add", "orders", str(bare), "--json")
    assert answer.code == 0, answer
    assert len(script.registered) == 1
    assert [check["check"] for check in json.loads(answer.out)["checks"] if check["passed"] is False] == [
        "repository: push"
    ]
    assert "robots are not welcome here" in answer.err
    assert "`ameide repo check orders` looks again" in answer.err


@pytest.mark.parametrize("words", [(), ("--branch", "main")])
def test_what_cannot_be_fetched_is_not_registered(
    ameide: CommandLine, script: Script, tmp_path: Path, words: tuple[str, ...]
) -> None:
    answer = ameide("repo", "add", "orders", str(tmp_path / "none.git"), *words)
    assert answer.code == 1
    assert "nothing is registered" in answer.err
    assert "--no-check" in answer.err
    assert not script.registered
    assert ameide("repo", "add", "o", str(tmp_path / "none.git"), "--branch", "main", "--no-check").code == 0
    assert len(script.registered) == 1


def test_a_secret_in_the_url_is_refused_and_not_repeated(ameide: CommandLine, script: Script) -> None:
    for words in (("https://ada:hunter2-secret@git.example.org/x.git",), ("x", "https://hunter2-secret@h/x.git")):
        answer = ameide("repo", "add", *words)
        assert answer.code == 2
        assert "--credential" in answer.err
        assert "hunter2" not in answer.out + answer.err
    assert not script.registered


def test_an_address_without_a_name_asks_for_one(ameide: CommandLine, script: Script) -> None:
    answer = ameide("repo", "add", "https://git.example.org/.git/")
    assert answer.code == 2
    assert "ameide repo add NAME URL" in answer.err
