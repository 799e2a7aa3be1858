"""Real executor processes: stopped, asked to leave, killed and started again."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil

from ameide.infra.clock import now
from ameide.infra.supervisor import ChildProcess, Supervisor
from ameide_core_proto.transformation.work.v1.command_service_pb import WorkOutcome
from tests.infra.processes import processes_of
from tests.infra.work_double import WorkDouble, eventually, tool_run

Start = Callable[[], subprocess.Popen[bytes]]


async def _child_of(double: WorkDouble, state_dir: Path, work_request_id: str) -> set[int]:
    """What runs for a work, once its script has begun."""
    await double.until(lambda: "direct" in double.log_of(work_request_id))
    found = processes_of(state_dir, work_request_id)
    assert found
    return found


async def test_an_executor_that_wakes_after_its_lease_kills_its_child_and_writes_nothing(
    double: WorkDouble, start_executor: Start, state_dir: Path
) -> None:
    process = start_executor()
    await double.offer(tool_run("wrk-1", "echo direct $$; sleep 300"))
    child = await _child_of(double, state_dir, "wrk-1")
    process.send_signal(signal.SIGSTOP)
    held = double.held["wrk-1"]
    await eventually(lambda: now() > held.until)
    double.sweep("wrk-1")
    assert child <= set(psutil.pids())
    process.send_signal(signal.SIGCONT)
    await eventually(lambda: child.isdisjoint(psutil.pids()))
    await double.offer(tool_run("wrk-2", "echo next"))
    await double.until(lambda: "wrk-2" in double.outcomes)
    assert double.fenced_calls == 0
    assert "wrk-1" not in double.outcomes
    assert double.released == []
    assert [folder.name for folder in (state_dir / "objects" / "work" / "default").iterdir()] == ["wrk-2"]


async def test_an_executor_that_is_asked_to_leave_gives_its_work_back(
    double: WorkDouble, start_executor: Start, state_dir: Path
) -> None:
    process = start_executor()
    await double.offer(tool_run("wrk-1", "echo direct $$; sleep 300"))
    child = await _child_of(double, state_dir, "wrk-1")
    process.terminate()
    await double.until(lambda: len(double.released) == 1)
    await eventually(lambda: process.poll() is not None)
    assert process.returncode == 0
    assert child.isdisjoint(psutil.pids())
    assert double.outcomes == {}


async def test_the_child_of_a_killed_executor_dies_with_it(
    double: WorkDouble, start_executor: Start, state_dir: Path
) -> None:
    process = start_executor()
    await double.offer(tool_run("wrk-1", "echo direct $$; sleep 300"))
    child = await _child_of(double, state_dir, "wrk-1")
    process.kill()
    await eventually(lambda: child.isdisjoint(psutil.pids()))


async def test_a_crashed_executor_is_started_again_and_works(double: WorkDouble, executor_argv: list[str]) -> None:
    supervisor = Supervisor([ChildProcess("verifier", executor_argv, {})], first_pause=0.05)
    running = asyncio.create_task(supervisor.run())
    await double.offer(tool_run("wrk-1", "echo first"))
    await double.until(lambda: "wrk-1" in double.outcomes)
    psutil.Process(supervisor.pids["verifier"]).kill()
    await double.offer(tool_run("wrk-2", "echo second"))
    await double.until(lambda: "wrk-2" in double.outcomes)
    assert double.outcomes["wrk-2"].outcome is WorkOutcome.SUCCESS
    assert supervisor.starts["verifier"] == 2
    supervisor.stop()
    await running
    assert not psutil.pid_exists(supervisor.pids["verifier"])
