"""`ameide repo check` against real remotes."""

from __future__ import annotations

from pathlib import Path

from ameide.delivery.demo_remotes import create_orders_remotes
from ameide_core_proto.transformation.governance.v1.governance_pb import GitopsTarget

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
