"""Main moves while a change is merged: what is pushed was verified as that commit, and nobody's commit is lost."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ameide.delivery.demo_remotes import create_orders_remotes
from tests.acceptance.installation import Installation, git, wait_for
from tests.acceptance.repositories import person_commits, register, ungated


@pytest.fixture(scope="module")
def moving(installation: Installation) -> dict[str, tuple[str, Path]]:
    """A change and its bare repository for each act, both under way at once."""
    made: dict[str, tuple[str, Path]] = {}
    for act in ("green", "conflict"):
        name = f"moving-{act}"
        folder = installation.state_dir / "remotes" / name
        url, _ = create_orders_remotes(folder)
        git(folder / "orders.git", "config", "core.logAllRefUpdates", "always")
        register(installation, name, url, ungated("REQUIREMENT_STABILIZED"))
        made[act] = installation.start_change(name, f"act: {act}", coder="command"), folder / "orders.git"
    return made


def test_what_is_pushed_was_verified_as_that_commit_however_often_main_moves(
    installation: Installation, moving: dict[str, tuple[str, Path]]
) -> None:
    change, bare = moving["green"]
    clone = installation.state_dir / "person-green"
    accepted = installation.gate(change, "ACCEPTANCE")
    persons = [person_commits(bare, clone, {"FIRST.md": "Before the candidate is made.\n"})]
    installation.decide(accepted)
    wait_for(lambda: len(installation.works(change, "VERIFY")) == 2, "the candidate's verification")
    persons.append(person_commits(bare, clone, {"SECOND.md": "While the candidate is verified.\n"}))
    assert installation.advance(change)["outcome"] == "merged"

    main = git(bare, "rev-parse", "main")
    refused, pushed = [work for work in installation.works(change, "MERGE") if work["inputs"]["push"]]
    assert refused["result"]["failureCode"] == "FAILURE_CODE_CONFLICT"
    assert [finding["id"] for finding in refused["result"]["findings"]] == ["main_moved"]
    assert pushed["inputs"]["candidateSha"] == main
    assert pushed["inputs"]["expectedMainSha"] == persons[-1]
    [verified] = [work for work in installation.works(change, "VERIFY") if work["commitSha"] == main]
    assert verified["status"] == "WORK_STATUS_SUCCEEDED"
    assert verified["endedAt"] < pushed["requestedAt"]
    assert _accepted_patch(bare, accepted, main)
    _nobody_lost_a_commit(bare, persons)


def test_a_conflict_is_a_finding_for_the_coder(installation: Installation, moving: dict[str, tuple[str, Path]]) -> None:
    change, bare = moving["conflict"]
    clone = installation.state_dir / "person-conflict"
    gate = installation.gate(change, "ACCEPTANCE")
    readme = git(bare, "show", "main:README.md").splitlines()
    person = person_commits(bare, clone, {"README.md": "\n".join(["# Orders, as a person says", *readme[1:]]) + "\n"})
    installation.decide(gate)
    second = installation.gate(change, "ACCEPTANCE")
    assert second["gateId"] != gate["gateId"]

    first, again = installation.works(change, kind="AGENT_WORK")
    assert not first["inputs"].get("findings")
    [conflict] = again["inputs"]["findings"]
    assert (conflict["class"], conflict["id"]) == ("FINDING_CLASS_MERGE_CONFLICT", "README.md")
    assert git(bare, "rev-parse", "main") == person
    assert installation.advance(change)["outcome"] == "merged"

    main = git(bare, "rev-parse", "main")
    assert [w["status"] for w in installation.works(change, "VERIFY") if w["commitSha"] == main] == [
        "WORK_STATUS_SUCCEEDED"
    ]
    merged = git(bare, "show", "main:README.md").splitlines()
    assert (merged[0], merged[-1]) == ("# Orders, as a person says", "The coder agrees.")
    _nobody_lost_a_commit(bare, [person])


def _accepted_patch(bare: Path, accepted: dict[str, Any], main: str) -> bool:
    """Whether what main got is what the gate showed: the same files with the same contents."""
    subject = accepted["subject"]
    shown = git(bare, "diff", "--raw", "--no-abbrev", subject["baseSha"], subject["commitSha"])
    return git(bare, "diff", "--raw", "--no-abbrev", f"{main}^1", main) == shown


def _nobody_lost_a_commit(bare: Path, persons: list[str]) -> None:
    """Main only ever went forward, and holds every commit of a person."""
    reflog = git(bare, "log", "--walk-reflogs", "--format=%H", "main").split()
    assert set(persons) <= set(reflog)
    for newer, older in pairwise(reflog):
        git(bare, "merge-base", "--is-ancestor", older, newer)
