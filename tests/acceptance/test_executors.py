"""Who does the work on an installation: a pool that is paused, executors of one work, and no pool at all."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests.acceptance.hold import Hold, create_held_orders
from tests.acceptance.installation import Installation, wait_for


@pytest.fixture
def paused(installation: Installation) -> Iterator[Installation]:
    """The pool takes nothing meanwhile."""
    installation.ameide("executor", "pause")
    yield installation
    installation.ameide("executor", "resume")


def attempts(installation: Installation, work: str) -> list[tuple[str, str]]:
    """Who was at a work, and how each attempt ended."""
    found: list[dict[str, Any]] = installation.json("work", "show", work).get("attempts", [])
    return [(attempt["runner"], attempt.get("endedBy", "")) for attempt in found]


def run_once(installation: Installation, queue: str, *options: str) -> str:
    """What an executor of one work said, which exited with 0."""
    return installation.ameide("executor", "run-once", "--queue", queue, *options)


def test_a_paused_pool_takes_nothing_also_after_a_restart(paused: Installation, orders: str) -> None:
    work = paused.id_of("work", "request", orders, who="requester")
    said = paused.run("status")
    assert said.returncode == 0, said.stdout
    assert "paused here: generate, verify, verify.ui_harness, publish, coder, analyst" in said.stdout
    assert "ameide executor resume" in said.stdout

    pool = psutil.Process(paused.pid_of("executor"))
    pool.send_signal(signal.SIGTERM)
    pool.wait(60)
    assert "executor started" in paused.ameide("up")
    assert "Took one work of queue verify." in run_once(paused, "verify")
    assert attempts(paused, work) == [("verifier/once", "succeeded")]
    assert "No work of queue verify to take." in run_once(paused, "verify", "--wait", "1")

    again = paused.id_of("work", "request", orders, who="requester")
    assert "Still paused: generate" in paused.ameide("executor", "resume", "--queue", "verify")
    wait_for(lambda: attempts(paused, again) == [("verifier", "succeeded")], "the pool to do it")


def test_an_executor_of_one_work_gives_it_back_when_it_is_told_to_end(paused: Installation) -> None:
    hold, ready = Hold(paused.state_dir / "holds" / "once"), paused.state_dir / "once.ready"
    url, _ = create_held_orders(paused.state_dir / "remotes" / "once", hold)
    paused.ameide("repo", "add", "once", url)
    hold.set()
    work = paused.id_of("work", "request", "once", who="requester")
    command = [sys.executable, "-m", "ameide", "executor", "run-once", "--queue", "verify", "--ready-file", str(ready)]
    with subprocess.Popen(command, env=paused.environment, stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: bool(hold.waiting()) or process.poll() is not None, "the work to be held")
        assert int(ready.read_text()) == process.pid
        process.terminate()
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert attempts(paused, work) == [("verifier/once", "released")]
    assert not hold.waiting()
    hold.release()
    run_once(paused, "verify")
    assert attempts(paused, work) == [("verifier/once", "released"), ("verifier/once", "succeeded")]


def test_an_installation_without_an_executor_of_its_own(installation: Installation, orders: str) -> None:
    assert "executor ended" in installation.ameide("up", "--no-executor")
    try:
        assert "Nothing to do" in installation.ameide("up", "--no-executor")
        work = installation.id_of("work", "request", orders, who="requester")
        run_once(installation, "verify")
        assert attempts(installation, work) == [("verifier/once", "succeeded")]
        said = installation.run("status")
        assert said.returncode == 0, said.stdout
        assert "left out" in said.stdout
    finally:
        assert "executor started" in installation.ameide("up")
