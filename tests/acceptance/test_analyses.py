"""Analyses and triage runs from outside: asked for without a run, answered from a commit, and nothing is changed."""

import json
from pathlib import Path
from typing import Any

from tests.acceptance.installation import Installation, git, post, wait_for

GOVERNANCE = "ameide_core_proto.transformation.governance.v1.GovernanceCommandService"
TRIAGE = {
    "title": "Cancel an order",
    "text": "People ask for it.",
    "triage": {
        "inScope": ["cancelling an open order"],
        "primitives": ["PRIMITIVE_DOMAIN"],
        "size": "CHANGE_SIZE_SMALL",
        "deepAnalysis": True,
        "analysisQuestion": "Where are orders kept?",
    },
}


def ended(installation: Installation, work_id: str) -> dict[str, Any]:
    """The work once it is over."""
    found: dict[str, Any] = {}

    def over() -> bool:
        found.update(installation.json("work", "show", work_id)["work"])
        return found["status"] not in ("WORK_STATUS_REQUESTED", "WORK_STATUS_STARTED")

    wait_for(over, f"{work_id} to end")
    return found


def analysis(installation: Installation, repository: str, *options: str) -> dict[str, Any]:
    """One that the requester asks for."""
    asked = ("work", "request", repository, "--action", "analyze", *options)
    return ended(installation, installation.id_of(*asked, who="requester"))


def refs(folder: Path) -> str:
    return git(folder, "for-each-ref")


def test_both_analyses_are_answered_from_the_commit_and_change_nothing(
    installation: Installation, orders: str, remotes: Path
) -> None:
    before, head = refs(remotes / "orders.git"), git(remotes / "orders.git", "rev-parse", "main")
    options = ("--kind", "agent-work", "--coder", "command", "--question", "Where are orders kept?")
    asked = analysis(installation, orders, *options)
    assert asked["status"] == "WORK_STATUS_SUCCEEDED", asked["result"]
    assert (asked["queue"].split(".")[-2], asked["executorPrincipalId"]) == ("analyst", "author")
    assert asked["result"]["outputs"]["commitSha"] == head
    assert "2 places, 1 of which are there" in asked["result"]["summary"]
    bundle = asked["result"]["evidenceBundleId"]
    told = installation.ameide("evidence", "get", bundle, "--artifact", "analysis.md")
    assert "> Where are orders kept?" in told
    assert "`src/nowhere.py#L1`: there is no such file at this commit" in told
    assert "was thrown away" not in told, "its sandbox let it write nothing"
    found = analysis(installation, orders, "--question", "ship")
    assert (found["status"], found["executorPrincipalId"]) == ("WORK_STATUS_SUCCEEDED", "verifier")
    report = json.loads(
        installation.ameide("evidence", "get", found["result"]["evidenceBundleId"], "--artifact", "analysis.json")
    )
    assert report["commit"] == head
    assert report["commands"]["source"] == "ameide.yaml"
    assert report["terms"][0]["lines"] > 0
    assert refs(remotes / "orders.git") == before


def test_a_triage_run_reads_analyzes_proposes_and_leaves_the_change_open(
    installation: Installation, orders: str
) -> None:
    opened, answer = post(
        installation,
        f"{GOVERNANCE}/OpenChange",
        json.dumps({"clientRequestId": f"open/{orders}", "repositoryId": orders, "title": TRIAGE["title"]}),
        "requester",
    )
    assert opened == 200, answer
    change = answer["change"]["changeId"]
    command = {"clientRequestId": f"triage/{orders}", "changeId": change, "kind": "RUN_KIND_TRIAGE", "triage": TRIAGE}
    command["coder"] = "command"
    for _ in range(2):
        status, answer = post(
            installation, f"{GOVERNANCE}/StartRun", json.dumps(command | {"coder": "command"}), "requester"
        )
        assert status == 200, answer
    assert answer["idempotentReplay"]
    wait_for(lambda: installation.run_of(change).get("outcome") == "triaged", "the triage to end")
    shown = installation.show(change)
    assert shown["summary"]["change"]["status"] == "CHANGE_STATUS_OPEN"
    [run] = shown["runs"]
    assert (run["kind"], run["workflowType"]) == ("RUN_KIND_TRIAGE", "r2r.triage.v1")
    [work] = shown["works"]
    assert (work["actionKind"], work["status"]) == ("ACTION_KIND_ANALYZE", "WORK_STATUS_SUCCEEDED")
    [artifact] = shown["artifacts"]
    current = artifact["current"]
    assert (artifact["kind"], current["status"]) == ("ARTIFACT_KIND_TRIAGE", "ARTIFACT_STATUS_DRAFT")
    assert current["author"] == {"principalId": "process", "onBehalfOf": "requester"}
    assert current["content"]["triage"]["requiredGates"][0] == "requirement_stabilized"
    assert f"evidence {work['result']['evidenceBundleId']}" in current["content"]["text"]
    said = [row["text"] for row in installation.json("change", "timeline", change)["rows"]]
    for query in ("GetChange", "ListChanges"):
        assert [text for text in said if text.startswith(f"read {query} at log position ")], said
    assert "triage run 1 requested" in said
    # The next run of the change is its second one.
    requirement = {"title": "Cancel", "text": "Soon.", "acceptanceCriteria": ["It works"]}
    proposed = {"clientRequestId": f"req/{orders}", "changeId": change, "kind": "ARTIFACT_KIND_REQUIREMENT"}
    knowledge = "ameide_core_proto.transformation.knowledge.v1.KnowledgeCommandService"
    body = json.dumps(proposed | {"content": requirement})
    _, answer = post(installation, f"{knowledge}/ProposeArtifact", body, "requester")
    submit = {"clientRequestId": f"sub/{orders}", "artifactId": answer["artifact"]["artifactId"], "expectedNumber": 1}
    post(installation, f"{knowledge}/SubmitArtifact", json.dumps(submit), "requester")
    again = {"clientRequestId": f"run/{orders}", "changeId": change}
    status, answer = post(installation, f"{GOVERNANCE}/StartRun", json.dumps(again), "requester")
    assert (status, answer["run"]["number"], answer["run"]["workflowType"]) == (200, 2, "r2r.governance.v1")
    installation.ameide("change", "cancel", change, "--reason", "seen")
