"""What a coder had done when its attempt ended otherwise than well: kept, taken up, counted for nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from ameide.infra.executor import Executor
from ameide.rpc.clients import Clients
from ameide_core_proto.transformation.work.v1.command_service_pb import WorkOutcome
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode, TimeoutPolicy, WorkRequest
from tests.infra.executor_process import STEPS
from tests.infra.test_coding import BRANCH, LEAKED, Bench, Remote, agent_work, bench, git, remote
from tests.infra.work_double import WorkDouble, eventually

__all__ = ["bench", "remote"]
HALF = "echo 'def cancel(): ...' >> orders.py; echo begun; sleep 60"


async def interrupt(bench: Bench, work: WorkRequest, script: str, end: Callable[[Executor], Awaitable[None]]) -> None:
    """Run a work, and end it once its coder has begun."""
    settings = replace(bench.settings, coder_command=("sh", "-c", script))
    async with Clients(settings.address, settings.token) as clients:
        executor = Executor(settings, STEPS, clients, bench.store)
        await bench.double.offer(work)
        running = asyncio.create_task(executor.run_once())
        await bench.double.until(lambda: "begun" in bench.double.log_of(work.work_request_id))
        await end(executor)
        await running


def trailers(remote: Remote) -> str:
    return git(remote.folder, "log", "-1", "--format=%(trailers:only,unfold)", BRANCH)


async def test_what_a_timeout_interrupts_is_where_the_next_iteration_begins(bench: Bench, remote: Remote) -> None:
    work = agent_work(remote)
    work.timeout_policy = TimeoutPolicy(run_for_seconds=9)
    result = (await bench.run(work, script=HALF)).result
    assert result
    assert result.failure_code is FailureCode.TIMEOUT
    assert result.outputs
    assert (result.outputs.commit_sha, result.outputs.branch) == (remote.head(), BRANCH)
    assert trailers(remote) == "Ameide-Change: chg-1\nAmeide-Wip: wrk-1"
    assert "def cancel" in remote.show("orders.py")
    following = agent_work(remote, iteration=2, start=remote.head(), expected=remote.head())
    done = (await bench.run(following, script="grep -q cancel orders.py && echo x > notes.md")).result
    assert done
    assert done.outputs
    assert done.outputs.commit_sha == remote.head()
    assert done.outputs.changed_paths == ["notes.md", "orders.py"]
    assert git(remote.folder, "rev-parse", f"{BRANCH}^") == result.outputs.commit_sha


async def test_a_coder_that_fails_after_changes_has_them_kept(bench: Bench, remote: Remote) -> None:
    result = await bench.failure(agent_work(remote), "echo x > notes.md; exit 3")
    assert result.failure_code is FailureCode.TOOL_FAILED
    assert result.outputs
    assert result.outputs.commit_sha == remote.head() != ""
    assert remote.show("notes.md") == "x"


@pytest.mark.parametrize("script", ["exit 3", "echo x > notes.md; rm notes.md; exit 3"])
async def test_nothing_is_kept_of_nothing(bench: Bench, remote: Remote, script: str) -> None:
    result = await bench.failure(agent_work(remote), script)
    assert result.outputs is None or result.outputs.commit_sha == ""
    assert remote.head() == ""


@pytest.mark.parametrize(
    "script",
    [
        "echo 'verify: true' > ameide.yaml; exit 3",
        "ln -s /etc/passwd users.txt; exit 3",
        "echo forge-password-1 > notes.md; exit 3",
        "echo 'verify: true' > ameide.yaml",
        "echo '*.md filter=lfs' > .gitattributes; exit 3",
    ],
)
async def test_what_breaks_a_rule_is_a_patch_in_the_evidence_alone(bench: Bench, remote: Remote, script: str) -> None:
    bench.settings = replace(bench.settings, credentials=LEAKED)
    outcome = await bench.run(agent_work(remote), script=script)
    assert outcome.result
    assert outcome.result.outputs is None or outcome.result.outputs.commit_sha == ""
    assert remote.head() == ""
    assert outcome.evidence
    assert "wip.patch" in [artifact.name for artifact in outcome.evidence.artifacts]
    assert not any(b"forge-password-1" in file.read_bytes() for file in bench.objects.rglob("*.patch"))


async def test_a_canceled_coder_has_its_work_kept(bench: Bench, remote: Remote, double: WorkDouble) -> None:
    async def cancel(_executor: Executor) -> None:
        double.canceled.add("wrk-1")

    await interrupt(bench, agent_work(remote), HALF, cancel)
    outcome = double.outcomes["wrk-1"]
    assert outcome.outcome is WorkOutcome.CANCELED
    assert outcome.result
    assert outcome.result.outputs
    assert outcome.result.outputs.commit_sha == remote.head() != ""


async def stopped(executor: Executor) -> None:
    executor.stop()


async def test_a_stopped_executor_leaves_its_work_to_the_next_attempt(
    bench: Bench, remote: Remote, double: WorkDouble
) -> None:
    """Also when nothing is left to do: the next attempt's commit is the result, the one that was kept is none."""
    await interrupt(bench, agent_work(remote), HALF, stopped)
    assert [release.work_request_id for release in double.released] == ["wrk-1"]
    kept = remote.head()
    assert trailers(remote) == "Ameide-Change: chg-1\nAmeide-Wip: wrk-1"
    outcome = await bench.run(agent_work(remote), script="grep -q cancel orders.py")
    assert outcome.result
    assert outcome.result.failure_code is FailureCode.UNSPECIFIED, outcome.result.summary
    assert outcome.result.outputs
    assert outcome.result.outputs.commit_sha == remote.head() != kept
    assert outcome.result.outputs.changed_paths == ["orders.py"]
    assert trailers(remote) == "Ameide-Change: chg-1\nAmeide-Work: wrk-1"


async def test_a_policy_that_became_stricter_holds_for_what_was_kept(bench: Bench, remote: Remote) -> None:
    await interrupt(bench, agent_work(remote), HALF, stopped)
    work = agent_work(remote)
    assert work.path_rules
    work.path_rules.denied.append("orders.py")
    result = await bench.failure(work, "echo x > notes.md")
    assert result.failure_code is FailureCode.POLICY_VIOLATION
    assert [finding.location for finding in result.findings] == ["orders.py"]


async def test_nothing_is_written_once_the_claim_is_lost(bench: Bench, remote: Remote, double: WorkDouble) -> None:
    double.lease_seconds = 1

    async def lose(_executor: Executor) -> None:
        double.held["wrk-1"].swept = True

    await interrupt(bench, agent_work(remote), HALF, lose)
    await eventually(lambda: double.fenced_calls > 0)
    assert double.outcomes == {}
    assert remote.head() == ""
