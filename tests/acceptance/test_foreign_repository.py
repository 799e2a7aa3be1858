"""Repositories that nobody wrote for ameide: a published package of each ecosystem, without `ameide.yaml`."""

from pathlib import Path

import pytest

from tests.acceptance.installation import Installation, git
from tests.acceptance.packages import PACKAGES, Package
from tests.acceptance.repositories import person_commits, register, ungated

ECOSYSTEMS = sorted(PACKAGES)
# Everything is fetched and compiled once, one work after the other.
PATIENCE = 900.0


def make_remote(installation: Installation, package: Package, folder: Path) -> Path:
    """A bare repository with the package as its only commit, registered without gitops."""
    source = package.unpacked(folder)
    bare = remote_of(installation, package.ecosystem)
    bare.mkdir(parents=True)
    git(bare, "init", "--quiet", "--bare", "--initial-branch=main")
    work = ["--work-tree", str(source)]
    git(bare, "config", "core.bare", "false")
    git(bare, *work, "add", "--all", "--force")
    git(bare, *work, "commit", "--quiet", "-m", package.archive)
    git(bare, "config", "core.bare", "true")
    register(installation, f"foreign-{package.ecosystem}", f"file://{bare}", ungated("REQUIREMENT_STABILIZED"))
    return bare


def remote_of(installation: Installation, ecosystem: str) -> Path:
    return installation.state_dir / "remotes" / f"foreign-{ecosystem}" / "package.git"


@pytest.fixture(scope="module")
def chosen(request: pytest.FixtureRequest) -> list[str]:
    """The ecosystems of the tests that were chosen."""
    items = [item for item in request.session.items if item.path == Path(__file__)]
    return [name for name in ECOSYSTEMS if any(f"[{name}]" in item.name for item in items)]


@pytest.fixture(scope="module")
def changes(installation: Installation, tmp_path_factory: pytest.TempPathFactory, chosen: list[str]) -> dict[str, str]:
    """A change of each package, all started before any is waited for."""
    folder = tmp_path_factory.mktemp("packages")
    for ecosystem in chosen:
        make_remote(installation, PACKAGES[ecosystem], folder)
    return {
        ecosystem: installation.start_change(f"foreign-{ecosystem}", f"act: change {ecosystem}", coder="command")
        for ecosystem in chosen
    }


@pytest.fixture(scope="module")
def doomed(installation: Installation, changes: dict[str, str]) -> dict[str, str]:
    """Another change of each package, once a person broke main."""
    for ecosystem in changes:
        bare, (path, right, wrong) = remote_of(installation, ecosystem), PACKAGES[ecosystem].red
        assert installation.run_of(changes[ecosystem])["status"] != "RUN_STATUS_OPEN"
        good = git(bare, "show", f"main:{path}") + "\n"
        assert right in good
        clone = installation.state_dir / f"person-{ecosystem}"
        person_commits(bare, clone, {path: good.replace(right, wrong, 1)})
    return {
        ecosystem: installation.start_change(f"foreign-{ecosystem}", "act: remark", coder="command")
        for ecosystem in changes
    }


@pytest.mark.parametrize("ecosystem", ECOSYSTEMS)
def test_a_change_ends_at_its_merge_verified_by_the_packages_own_tests(
    installation: Installation, changes: dict[str, str], ecosystem: str
) -> None:
    package, change = PACKAGES[ecosystem], changes[ecosystem]
    assert installation.advance(change, patience=PATIENCE)["outcome"] == "merged"
    main = git(remote_of(installation, ecosystem), "rev-parse", "main")
    [verified] = [work for work in installation.works(change, "VERIFY") if work["commitSha"] == main]
    bundles = installation.json("evidence", "list", "--change", change)["bundles"]
    [evidence] = [bundle for bundle in bundles if bundle["workRequestId"] == verified["workRequestId"]]
    passed = {check["id"] for check in evidence["checkResults"] if check["status"] == "CHECK_STATUS_PASSED"}
    assert {package.test, package.changed} <= passed
    assert len(passed) > 10
    assert not installation.works(change, "BUILD")


@pytest.mark.parametrize("ecosystem", ECOSYSTEMS)
def test_a_red_main_is_named_before_any_coder_is_asked(
    installation: Installation, doomed: dict[str, str], ecosystem: str
) -> None:
    change = doomed[ecosystem]
    gate = installation.advance(change, until="NEEDS_HUMAN", patience=PATIENCE)
    findings = gate["subject"]["findings"]
    assert PACKAGES[ecosystem].test in {finding["id"] for finding in findings}
    assert {finding["class"] for finding in findings} == {"FINDING_CLASS_BLOCKED_BY_REPO_HEALTH"}
    assert "blocked_by_repo_health" in installation.ameide("gate", "show", gate["gateId"], who="approver")
    assert not installation.works(change, kind="AGENT_WORK")
    installation.decide(gate, "reject", "repair main first")
    assert installation.advance(change)["status"] == "RUN_STATUS_FAILED"
    assert not installation.works(change, kind="AGENT_WORK")
