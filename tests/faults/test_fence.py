"""An executor that sleeps past its lease: the work is somebody else's by then, and what it says no longer counts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from ameide.errors import Fenced
from ameide.rpc.clients import Clients
from ameide_core_proto.common.v1.metadata_pb import Scope
from ameide_core_proto.transformation.work.v1.command_service_pb import (
    RecordWorkHeartbeatRequest,
    RecordWorkOutcomeRequest,
    WorkOutcome,
)
from ameide_core_proto.transformation.work.v1.work_pb import EvidenceBundle, WorkResult
from tests.acceptance.hold import Hold, create_held_orders
from tests.acceptance.installation import Installation, git, remove, wait_for
from tests.faults.judging import Judge


@pytest.fixture
def installation() -> Iterator[Installation]:
    """With a lease so short that a test can wait for its end."""
    made = Installation.make(AMEIDE_LEASE_SECONDS="3")
    try:
        yield made
    finally:
        remove(made)


async def test_a_stopped_executor_wakes_kills_its_child_and_writes_nothing(installation: Installation) -> None:
    state = installation.state_dir
    coder, verify = Hold(state / "holds" / "coder"), Hold(state / "holds" / "verify")
    installation.settings["AMEIDE_CODER_COMMAND"] = f"sh -c 'cat {coder.path}; echo noted > NOTES.md'"
    installation.ameide("up")
    url, gitops = create_held_orders(state / "remotes", verify)
    installation.ameide("repo", "add", "orders", url, "--gitops", gitops)
    judge = Judge(installation)

    coder.set()
    change = installation.start_change("orders", "It is noted", "There are notes", coder="command")
    installation.decide(installation.gate(change, "REQUIREMENT_STABILIZED"))
    child = coder.reached(installation, change)
    group = os.getpgid(child.pid)
    [work] = installation.works(change, kind="AGENT_WORK")
    stopped = executor_of(child)
    stopped.send_signal(signal.SIGSTOP)
    try:
        coder.pass_by()
        with second_pool(installation):
            installation.gate(change, "ACCEPTANCE")
        first, second = judge.attempts(work["workRequestId"])
        assert (first["ended_by"], second["attempt"]) == ("lease_lost", 2)
        assert child.is_running(), "its child was to be asleep in the middle of its work"
        before = outcome_of(installation, change)
    finally:
        stopped.send_signal(signal.SIGCONT)

    wait_for(lambda: not alive(group), "the woken executor to kill its child")
    wait_for(lambda: "nothing written" in log_of(installation), "the woken executor to give up")
    assert outcome_of(installation, change) == before
    stored = {folder.name for folder in (state / "objects").rglob(f"{work['workRequestId']}/*")}
    assert stored == {f"2-{second['claim_id']}"}
    branch = git(state / "remotes" / "orders.git", "rev-parse", before["outputs"]["branch"])
    assert branch == before["outputs"]["commitSha"]

    await claims_nothing(installation, work["workRequestId"], first["claim_id"])
    assert outcome_of(installation, change) == before
    installation.ameide("change", "cancel", change, "--reason", "seen enough", who="requester")
    assert installation.advance(change)["outcome"] == "canceled"
    judge.check()


async def claims_nothing(installation: Installation, work_request_id: str, claim_id: str) -> None:
    """The lost pair, sent by hand with the token that it was claimed with."""
    address = json.loads((installation.state_dir / "run" / "address.json").read_text())["address"]
    token = (installation.state_dir / "tokens" / "author").read_text().strip()
    heartbeat = RecordWorkHeartbeatRequest(
        scope=Scope(tenant_id="default"), work_request_id=work_request_id, attempt=1, claim_id=claim_id
    )
    evidence = EvidenceBundle(
        evidence_bundle_id="evd-0192aaaa00007000800000000000000a", work_request_id=work_request_id, attempt=1
    )
    outcome = RecordWorkOutcomeRequest(
        scope=heartbeat.scope,
        work_request_id=work_request_id,
        attempt=1,
        claim_id=claim_id,
        outcome=WorkOutcome.SUCCESS,
        result=WorkResult(summary="I am late."),
        evidence=evidence,
    )
    async with Clients(address, token) as clients:
        with pytest.raises(Fenced):
            await clients.work.record_work_heartbeat(heartbeat)
        with pytest.raises(Fenced):
            await clients.work.record_work_outcome(outcome)


def executor_of(child: psutil.Process) -> psutil.Process:
    """The executor process, author or verifier, that a child of a work belongs to."""
    return next(process for process in child.parents() if process.cmdline()[-1] in ("author", "verifier"))


@contextmanager
def second_pool(installation: Installation) -> Generator[None]:
    """A second executor pool beside the one of `ameide up`, with the same settings."""
    settings = {"AMEIDE_CONFIG": str(installation.state_dir / "run" / "executor.toml")}
    with (installation.state_dir / "second.log").open("wb") as log:
        pool = subprocess.Popen(
            [sys.executable, "-m", "ameide", "executor", "pool"],
            env={"PATH": os.environ["PATH"], **settings},
            cwd=installation.state_dir,
            stdout=log,
            stderr=log,
        )
    try:
        yield
    finally:
        pool.terminate()
        pool.wait(60)


def outcome_of(installation: Installation, change: str) -> dict[str, Any]:
    """The result of the coder's work."""
    [work] = installation.works(change, kind="AGENT_WORK")
    return work["result"]


def log_of(installation: Installation) -> str:
    """What the executor of `ameide up` logged."""
    return (installation.state_dir / "logs" / "executor.log").read_text()


def alive(group: int) -> bool:
    """Whether a process group has a living process."""
    return any(_lives_in(process, group) for process in psutil.process_iter())


def _lives_in(process: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False
