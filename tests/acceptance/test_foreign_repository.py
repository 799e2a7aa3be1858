"""A repository that nobody wrote for ameide: a published package, without `ameide.yaml` and without gitops."""

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.acceptance.installation import Installation, git
from tests.acceptance.repositories import person_commits, register, ungated

PACKAGE, VERSION = "itsdangerous", "2.2.0"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's source distribution, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*download, "--dest", str(folder), f"{PACKAGE}=={VERSION}"], check=True, timeout=240)
    [archive] = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder / f"{PACKAGE}-{VERSION}"


def make_remote(installation: Installation, source: Path, name: str) -> Path:
    """A bare repository with the package as its only commit, registered without gitops."""
    bare = installation.state_dir / "remotes" / name / f"{PACKAGE}.git"
    bare.mkdir(parents=True)
    git(bare, "init", "--quiet", "--bare", "--initial-branch=main")
    work = ["--work-tree", str(source)]
    git(bare, "config", "core.bare", "false")
    git(bare, *work, "add", "--all", "--force")
    git(bare, *work, "commit", "--quiet", "-m", f"{PACKAGE} {VERSION}")
    git(bare, "config", "core.bare", "true")
    register(installation, name, f"file://{bare}", ungated("REQUIREMENT_STABILIZED"))
    return bare


def test_a_change_ends_at_its_merge_verified_by_the_packages_own_tests(
    installation: Installation, source: Path
) -> None:
    bare = make_remote(installation, source, "foreign")
    change = installation.start_change("foreign", "act: remark", coder="command")
    assert installation.advance(change)["outcome"] == "merged"
    main = git(bare, "rev-parse", "main")
    assert git(bare, "show", "main:NOTES.md") == "A remark of the coder."
    [verified] = [work for work in installation.works(change, "VERIFY") if work["commitSha"] == main]
    bundles = installation.json("evidence", "list", "--change", change)["bundles"]
    [evidence] = [bundle for bundle in bundles if bundle["workRequestId"] == verified["workRequestId"]]
    passed = [check["id"] for check in evidence["checkResults"] if check["status"] == "CHECK_STATUS_PASSED"]
    assert len(passed) > 10
    assert all(id.startswith("tests/") for id in passed)
    assert not installation.works(change, "BUILD")


def test_a_red_main_is_named_before_any_coder_is_asked(installation: Installation, source: Path) -> None:
    bare = make_remote(installation, source, "foreign-red")
    broken = (source / "src" / PACKAGE / "signer.py").read_text(encoding="utf-8") + "\n\nraise RuntimeError('red')\n"
    person_commits(bare, installation.state_dir / "person-red", {f"src/{PACKAGE}/signer.py": broken})
    change = installation.start_change("foreign-red", "act: remark", coder="command")
    gate = installation.gate(change, "NEEDS_HUMAN")
    findings = gate["subject"]["findings"]
    assert findings
    assert {finding["class"] for finding in findings} == {"FINDING_CLASS_BLOCKED_BY_REPO_HEALTH"}
    assert "blocked_by_repo_health" in installation.ameide("gate", "show", gate["gateId"], who="approver")
    assert not installation.works(change, kind="AGENT_WORK")
    installation.decide(gate, "reject", "repair main first")
    assert installation.advance(change)["status"] == "RUN_STATUS_FAILED"
    assert not installation.works(change, kind="AGENT_WORK")
