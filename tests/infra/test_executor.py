"""One claim from invitation to outcome, with real children."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import psutil
import pytest

from ameide.infra.evidence import verify_bundle
from ameide.infra.executor import Executor
from ameide.infra.isolation.bubblewrap import proxies
from ameide.infra.object_store import ObjectStore
from ameide.infra.settings import ExecutorSettings
from ameide.infra.steps import Profile
from ameide_core_proto.transformation.work.v1.command_service_pb import WorkOutcome
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode
from tests.infra.processes import processes_of
from tests.infra.work_double import WorkDouble, eventually, tool_run

DETACHING = """
(setsid sh -c 'echo detached $$; (setsid sleep 300 &) ; sleep 300' &)
echo direct $$
sleep 300
"""


async def test_a_work_runs_and_its_evidence_can_be_verified(
    double: WorkDouble, executor: Executor, store: ObjectStore, settings: ExecutorSettings
) -> None:
    await double.offer(tool_run("wrk-1", "echo password=Zk8vQ2mX9sLw4tRb; exit 3"))
    assert await executor.run_once()
    outcome = double.outcomes["wrk-1"]
    assert double.runners == {"wrk-1": "verifier"}
    assert outcome.outcome is WorkOutcome.SUCCESS
    assert outcome.result
    assert outcome.evidence
    assert outcome.result.exit_code == 3
    assert outcome.result.evidence_bundle_id == outcome.evidence.evidence_bundle_id
    uris = {artifact.name: artifact.uri for artifact in outcome.evidence.artifacts}
    assert uris["script.log"] == f"store:work/default/wrk-1/1-{outcome.claim_id}/script.log"
    assert await store.get(uris["script.log"]) == b"password=[redacted]\n"
    assert await verify_bundle(outcome.evidence, store) == []
    assert list(settings.work_root.iterdir()) == []


async def test_a_flipped_byte_is_found_and_the_object_named(
    double: WorkDouble, executor: Executor, store: ObjectStore, state_dir: Path
) -> None:
    await double.offer(tool_run("wrk-1", "echo hello"))
    await executor.run_once()
    evidence = double.outcomes["wrk-1"].evidence
    assert evidence
    artifact = next(artifact for artifact in evidence.artifacts if artifact.name == "script.log")
    file = state_dir / "objects" / artifact.uri.removeprefix("store:")
    file.write_bytes(b"hellO\n")
    (mismatch,) = await verify_bundle(evidence, store)
    assert mismatch.startswith(f"{artifact.uri}: sha256 is ")


async def test_a_child_gets_its_allowlist_and_no_rights(
    double: WorkDouble, executor: Executor, store: ObjectStore
) -> None:
    await double.offer(tool_run("wrk-1", "id -u; tr '\\0' '\\n' </proc/self/environ; ulimit -c; ls -ld ../private/"))
    await executor.run_once()
    evidence = double.outcomes["wrk-1"].evidence
    assert evidence
    lines = (await store.get(evidence.artifacts[0].uri)).decode().splitlines()
    names = {line.partition("=")[0] for line in lines if "=" in line}
    assert names == {
        *("PATH", "HOME", "TMPDIR", "LANG", "USER", "LOGNAME", "PYTHONDONTWRITEBYTECODE", "AMEIDE_WORKSPACE"),
        *("PIP_INDEX_URL", "UV_SYSTEM_CERTS", "PWD"),
        *proxies(Profile.VERIFY),
    }
    assert lines[0] == ("64102" if os.geteuid() == 0 else str(os.geteuid()))
    assert "0" in lines


async def test_a_step_that_breaks_is_an_internal_failure_with_evidence(
    double: WorkDouble, executor: Executor, store: ObjectStore
) -> None:
    await double.offer(tool_run("wrk-1", "break"))
    await executor.run_once()
    outcome = double.outcomes["wrk-1"]
    assert outcome.outcome is WorkOutcome.FAILURE
    assert outcome.result
    assert outcome.evidence
    assert outcome.result.failure_code is FailureCode.INTERNAL
    assert "abcdefgh12345678" not in outcome.result.summary
    trace = next(artifact for artifact in outcome.evidence.artifacts if artifact.name == "error.txt")
    text = (await store.get(trace.uri)).decode()
    assert "RuntimeError" in text
    assert "abcdefgh12345678" not in text


async def test_a_missing_tool_is_named(double: WorkDouble, executor: Executor) -> None:
    await double.offer(tool_run("wrk-1", "no-such-tool --now"))
    await executor.run_once()
    result = double.outcomes["wrk-1"].result
    assert result
    assert result.failure_code is FailureCode.TOOL_FAILED
    assert result.summary.startswith("no-such-tool: no such program")
    assert double.outcomes["wrk-1"].evidence


async def test_cancel_ends_every_descendant_and_names_them(
    double: WorkDouble, executor: Executor, state_dir: Path
) -> None:
    await double.offer(tool_run("wrk-1", DETACHING))
    running = asyncio.create_task(executor.run_once())
    await double.until(lambda: "detached" in double.log_of("wrk-1") and "direct" in double.log_of("wrk-1"))
    # The shell and its sleep, the detached one and its two.
    await eventually(lambda: len(processes_of(state_dir, "wrk-1")) == 5)
    family = processes_of(state_dir, "wrk-1")
    double.canceled.add("wrk-1")
    await running
    outcome = double.outcomes["wrk-1"]
    assert outcome.outcome is WorkOutcome.CANCELED
    assert outcome.result
    named = {int(pid) for pid in re.findall(r"\d+", outcome.result.summary)}
    assert named == family
    assert not any(psutil.pid_exists(pid) for pid in named)


@pytest.mark.parametrize(
    ("bounds", "field"), [({"run_for": 4}, "run_for_seconds"), ({"silent_for": 1}, "silent_for_seconds")]
)
async def test_bounds_end_an_attempt(
    double: WorkDouble, executor: Executor, bounds: dict[str, int], field: str
) -> None:
    await double.offer(tool_run("wrk-1", "sleep 300", **bounds))
    await executor.run_once()
    result = double.outcomes["wrk-1"].result
    assert result
    assert result.failure_code is FailureCode.TIMEOUT
    assert field in result.summary


async def test_a_lost_answer_gets_the_same_outcome_again(double: WorkDouble, executor: Executor) -> None:
    double.outcomes_to_lose = 2
    await double.offer(tool_run("wrk-1", "echo once"))
    await executor.run_once()
    assert len(double.outcome_calls) == 3
    assert len(set(double.outcome_calls)) == 1


async def test_a_success_that_a_rule_refuses_is_told_as_a_failure(double: WorkDouble, executor: Executor) -> None:
    double.success_refused = "the author may not verify its own change"
    await double.offer(tool_run("wrk-1", "echo green"))
    await executor.run_once()
    result = double.outcomes["wrk-1"].result
    assert result
    assert result.failure_code is FailureCode.TOOL_FAILED
    assert "the author may not verify its own change" in result.summary
    assert double.released == []


async def test_evidence_that_the_domain_refuses_does_not_keep_the_attempt_from_ending(
    double: WorkDouble, executor: Executor
) -> None:
    double.checks_refused = True
    await double.offer(tool_run("wrk-1", "echo green"))
    await executor.run_once()
    outcome = double.outcomes["wrk-1"]
    assert outcome.result
    assert outcome.evidence
    assert (outcome.outcome, outcome.result.failure_code) == (WorkOutcome.FAILURE, FailureCode.INTERNAL)
    assert "evidence.check_results[0].id: is not taken" in outcome.result.summary
    assert (outcome.evidence.attempt, outcome.evidence.check_results) == (1, [])


async def test_a_claim_whose_outcome_is_never_taken_is_given_back(double: WorkDouble, executor: Executor) -> None:
    double.outcomes_refused = True
    await double.offer(tool_run("wrk-1", "echo green"))
    await executor.run_once()
    assert double.outcomes == {}
    [released] = double.released
    assert "is not taken" in released.reason
    assert double.fenced_calls == 0


async def test_a_fenced_heartbeat_kills_the_child_and_writes_nothing(
    double: WorkDouble, executor: Executor, state_dir: Path
) -> None:
    await double.offer(tool_run("wrk-1", "echo direct $$; sleep 300"))
    running = asyncio.create_task(executor.run_once())
    await double.until(lambda: "direct" in double.log_of("wrk-1"))
    family = processes_of(state_dir, "wrk-1")
    assert family
    double.held["wrk-1"].swept = True
    await running
    await eventually(lambda: family.isdisjoint(psutil.pids()))
    assert double.outcomes == {}
    assert double.fenced_calls == 1
