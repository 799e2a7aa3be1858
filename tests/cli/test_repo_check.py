"""`ameide repo check` against real remotes."""

from __future__ import annotations

import json
from pathlib import Path

from ameide.delivery.demo_remotes import create_orders_remotes
from ameide_core_proto.transformation.governance.v1.governance_pb import GitopsTarget
from tests.infra.git_servers import bare_repository, git, http_git, refuse_pushes

from .conftest import CommandLine, Script


def test_a_good_repository_passes(ameide: CommandLine, script: Script, tmp_path: Path) -> None:
    url, gitops = create_orders_remotes(tmp_path)
    script.repository.url = url
    script.repository.gitops = GitopsTarget(url=gitops, branch="main")
    answer = ameide("repo", "check", "orders")
    assert answer.code == 0, answer
    assert "FAIL" not in answer.out
    assert "push" in answer.out


def test_a_remote_that_is_not_there_fails(ameide: CommandLine, script: Script, tmp_path: Path) -> None:
    script.repository.url = str(tmp_path / "none.git")
    answer = ameide("repo", "check", "orders")
    assert answer.code == 1
    assert "FAIL  repository: fetch" in answer.out


def test_a_missing_branch_is_named(ameide: CommandLine, script: Script, tmp_path: Path) -> None:
    script.repository.url, _ = create_orders_remotes(tmp_path)
    script.repository.default_branch = "trunk"
    answer = ameide("repo", "check", "orders")
    assert answer.code == 1
    assert "there is no branch trunk" in answer.out


def test_a_credential_that_is_not_there_says_where_it_belongs(
    ameide: CommandLine, script: Script, tmp_path: Path
) -> None:
    script.repository.url, _ = create_orders_remotes(tmp_path)
    script.repository.credential_ref = "forge"
    answer = ameide("repo", "check", "orders")
    assert answer.code == 1
    assert str(ameide.state.root / "credentials" / "forge") in answer.out


def keep_credential(ameide: CommandLine, text: str) -> None:
    folder = ameide.state.root / "credentials"
    folder.mkdir()
    (folder / "forge").write_text(text)
    (folder / "forge").chmod(0o600)


def test_a_server_is_tried_for_real_and_nothing_stays_there(
    ameide: CommandLine, script: Script, tmp_path: Path
) -> None:
    bare = bare_repository(tmp_path / "served")
    keep_credential(ameide, "robot:correct-horse-battery")
    with http_git(tmp_path / "served") as server:
        script.repository.url, script.repository.credential_ref = server.of(bare), "forge"
        answer = ameide("repo", "check", "orders", "--json")
    shown = json.loads(answer.out)
    assert answer.code == 0, shown
    assert {check["check"]: check["passed"] for check in shown["checks"]} == {
        "credential forge": True,
        "repository: fetch": True,
        "repository: default branch": True,
        "repository: configuration": True,
        "repository: tests": True,
        "repository: tools": True,
        "repository: push": True,
        # What the forge forbids on its default branch cannot be seen without writing to it.
        "repository: merge into main": None,
    }
    assert any("git-receive-pack" in path for path in server.asked)
    assert git(bare, "for-each-ref", "--format=%(refname)") == "refs/heads/main"


def test_a_rule_of_the_server_is_told_in_its_own_words(ameide: CommandLine, script: Script, tmp_path: Path) -> None:
    bare = bare_repository(tmp_path / "served")
    refuse_pushes(bare, "refs/heads/agent/*", "robots are not welcome here")
    keep_credential(ameide, "robot:correct-horse-battery")
    with http_git(tmp_path / "served") as server:
        script.repository.url, script.repository.credential_ref = server.of(bare), "forge"
        answer = ameide("repo", "check", "orders")
    assert answer.code == 1
    assert "FAIL  repository: push" in answer.out
    assert "robots are not welcome here" in answer.out
    assert "repository: push: Have the rule of the remote admit the credential's user" in answer.out


def test_a_wrong_password_is_told_without_it(ameide: CommandLine, script: Script, tmp_path: Path) -> None:
    bare = bare_repository(tmp_path / "served")
    keep_credential(ameide, "robot:a-password-of-yesterday")
    with http_git(tmp_path / "served") as server:
        script.repository.url, script.repository.credential_ref = server.of(bare), "forge"
        answer = ameide("repo", "check", "orders")
    assert answer.code == 1
    assert "Authentication failed" in answer.out
    assert "Give forge the right to read and write" in answer.out
    assert "a-password-of-yesterday" not in answer.out + answer.err


def test_a_remote_with_a_hook_leaves_the_merge_open(ameide: CommandLine, script: Script, tmp_path: Path) -> None:
    bare = bare_repository(tmp_path)
    refuse_pushes(bare, "refs/heads/main", "main is protected")
    script.repository.url = str(bare)
    answer = ameide("repo", "check", "orders")
    assert answer.code == 0
    assert "whether its pre-receive hook refuses" in answer.out
