"""A change is canceled while a verifier's child runs: the child's whole family ends, and the evidence names it."""

from __future__ import annotations

import json

import psutil

from tests.acceptance.hold import Hold, create_held_orders
from tests.acceptance.installation import Installation, wait_for


def test_cancel_ends_the_run_and_whatever_runs_for_it(installation: Installation) -> None:
    hold = Hold(installation.state_dir / "holds" / "canceled")
    url, gitops = create_held_orders(installation.state_dir / "remotes" / "canceled", hold)
    installation.ameide("repo", "add", "canceled", url, "--gitops", gitops)
    hold.set()
    change = installation.start_change("canceled", "A change that nobody wants", "An open order can be cancelled")
    installation.decide(installation.gate(change, "REQUIREMENT_STABILIZED"))
    held = hold.reached(installation, change)
    warden = next(parent for parent in held.parents() if any(part.endswith("warden.py") for part in parent.cmdline()))
    children = warden.children(recursive=True)
    family = {child.pid for child in children}
    # What keeps the sandbox up is no program of the work.
    programs = {child.pid for child in children if child.name() != "bwrap"}
    assert held.pid in programs

    installation.ameide("change", "cancel", change, "--reason", "not wanted", who="requester")

    wait_for(lambda: installation.run_of(change).get("status") == "RUN_STATUS_CANCELED", f"{change} to be canceled")
    assert not [pid for pid in family if psutil.pid_exists(pid)]
    assert not installation.open_gates(change)
    assert {work["status"] for work in installation.works(change)} == {"WORK_STATUS_CANCELED"}
    [bundle] = installation.json("evidence", "list", "--change", change)["bundles"]
    [named] = [artifact for artifact in bundle["artifacts"] if artifact["name"] == "ended-processes.json"]
    stored = installation.state_dir / "objects" / named["uri"].removeprefix("store:")
    assert set(json.loads(stored.read_text())["pids"]) == programs
