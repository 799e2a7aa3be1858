"""A work is canceled while a real executor runs it: nothing of its child lives on, and evidence names all."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil

from ameide.infra.evidence import verify_bundle
from ameide.infra.isolation.telling import ENDED
from ameide.infra.object_store import ObjectStore
from ameide_core_proto.transformation.work.v1.command_service_pb import WorkOutcome
from tests.infra.processes import processes_of
from tests.infra.work_double import WorkDouble, eventually, tool_run

# A child in the group, one in a session of its own, and one that was forked twice and has lost its parents.
FAMILY = """
sleep 300 &
setsid sh -c 'sleep 300 & echo session $$; wait' &
python3 - <<'FORKS'
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(1, b"orphan %d\\n" % os.getpid())
        time.sleep(300)
    os._exit(0)
os.wait()
FORKS
echo direct $$
wait
"""


async def test_cancel_reaches_whatever_came_from_the_child(
    double: WorkDouble, start_executor: Callable[[], subprocess.Popen[bytes]], store: ObjectStore, state_dir: Path
) -> None:
    start_executor()
    await double.offer(tool_run("wrk-1", FAMILY))
    await double.until(lambda: all(word in double.log_of("wrk-1") for word in ("session", "orphan", "direct")))
    # The shell, its sleep, the session and its sleep, the orphan.
    await eventually(lambda: len(processes_of(state_dir, "wrk-1")) == 5)
    family = processes_of(state_dir, "wrk-1")
    double.canceled.add("wrk-1")
    await double.until(lambda: "wrk-1" in double.outcomes)
    assert not [pid for pid in family if psutil.pid_exists(pid)]
    outcome = double.outcomes["wrk-1"]
    assert outcome.outcome is WorkOutcome.CANCELED
    assert outcome.evidence
    assert await verify_bundle(outcome.evidence, store) == []
    (named,) = [artifact for artifact in outcome.evidence.artifacts if artifact.name == ENDED]
    assert set(json.loads(await store.get(named.uri))["pids"]) == family
