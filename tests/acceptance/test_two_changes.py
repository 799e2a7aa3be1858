"""Two changes on one repository at once, and people's commits in between: both merge, nothing of a person is lost.

The repository lets one run be open at a time in a first part, so that the second one waits in line.
"""

from itertools import pairwise
from pathlib import Path
from typing import Any

from ameide.delivery.demo_remotes import create_orders_remotes
from tests.acceptance.installation import Installation, git, wait_for
from tests.acceptance.repositories import Policy, person_commits, register, ungated


def _repository(installation: Installation, name: str, change: Any) -> Path:
    folder = installation.state_dir / "remotes" / name
    url, _ = create_orders_remotes(folder)
    bare = folder / "orders.git"
    git(bare, "config", "core.logAllRefUpdates", "always")
    register(installation, name, url, change)
    return bare


def test_both_merge_and_nothing_of_a_person_is_lost(installation: Installation) -> None:
    bare = _repository(installation, "two-changes", ungated("REQUIREMENT_STABILIZED"))
    clone = installation.state_dir / "person-two-changes"
    first = installation.start_change("two-changes", "act: conflict", coder="command")
    second = installation.start_change("two-changes", "act: conflict too", coder="command")
    shown = {change: installation.gate(change, "ACCEPTANCE") for change in (first, second)}

    persons = [person_commits(bare, clone, {"MAIN.md": "By a person, on main.\n"})]
    on_branch = person_commits(bare, clone, {"BRANCH.md": "By a person.\n"}, branch=f"agent/coder/{first}/1")
    persons.append(on_branch)

    # What was shown is not all that the branch holds any more: nobody has accepted the person's commit.
    installation.decide(shown[first])
    again = installation.gate(first, "ACCEPTANCE")
    assert again["subject"]["commitSha"] == on_branch
    assert installation.advance(first)["outcome"] == "merged"
    assert not [work for work in installation.works(first, kind="AGENT_WORK") if work["inputs"]["iteration"] > 1]

    installation.decide(shown[second])
    resolved = installation.gate(second, "ACCEPTANCE")
    assert resolved["gateId"] != shown[second]["gateId"]
    [finding] = installation.works(second, kind="AGENT_WORK")[-1]["inputs"]["findings"]
    assert (finding["class"], finding["id"]) == ("FINDING_CLASS_MERGE_CONFLICT", "README.md")
    assert first in finding["whatFailed"], "the finding names the change that it conflicts with"
    assert git(bare, "rev-parse", "main")[:12] in finding["whatFailed"]
    persons.append(person_commits(bare, clone, {"TOO.md": "By a person, too.\n"}, branch=f"agent/coder/{second}/1"))
    installation.decide(resolved)
    assert installation.advance(second)["outcome"] == "merged"

    readme = git(bare, "show", "main:README.md").splitlines()
    assert (readme[0], readme[-1]) == ("# Orders, as the coder says", "Another coder agrees.")
    reflog = git(bare, "log", "--walk-reflogs", "--format=%H", "main").split()
    for newer, older in pairwise(reflog):
        git(bare, "merge-base", "--is-ancestor", older, newer)
    for commit in persons:
        git(bare, "merge-base", "--is-ancestor", commit, "main")
    assert {"MAIN.md", "BRANCH.md", "TOO.md"} <= set(git(bare, "ls-tree", "--name-only", "main").splitlines())


def test_a_run_beyond_the_limit_waits_in_line(installation: Installation) -> None:
    def one_at_a_time(policy: Policy) -> None:
        ungated("REQUIREMENT_STABILIZED")(policy)
        policy["maxOpenRuns"] = 1

    _repository(installation, "in-line", one_at_a_time)
    first, second, third = (
        installation.start_change("in-line", f"act: {act}", coder="command") for act in ("green", "green", "remark")
    )
    gate = installation.gate(first, "ACCEPTANCE")
    assert installation.run_of(third)["status"] == "RUN_STATUS_QUEUED"
    assert installation.show(third)["summary"]["queuePosition"] == 2
    assert "2nd in queue" in installation.ameide("change", "show", third)
    assert "1st in queue" in installation.ameide("change", "list", "--repository", "in-line")
    assert not installation.works(second)

    installation.ameide("change", "cancel", second, "--reason", "not needed any more")
    wait_for(lambda: installation.run_of(second)["status"] == "RUN_STATUS_CANCELED", "the end of a run in the queue")
    assert installation.show(third)["summary"]["queuePosition"] == 1
    assert not installation.works(third)
    installation.decide(gate)
    assert installation.advance(first)["outcome"] == "merged"
    assert installation.advance(third)["outcome"] == "merged"
    begun = installation.run_of(third)
    assert begun["queueNumber"] == "2"
