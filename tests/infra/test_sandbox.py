"""A sandbox that cannot be had, or that does not hold, refuses the work before anything of it runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ameide.infra.executor import Executor
from ameide.infra.isolation import bubblewrap, choice
from ameide.infra.isolation.bubblewrap import Program
from ameide.infra.isolation.telling import NETWORK, SANDBOX
from ameide.infra.object_store import ObjectStore
from ameide.infra.settings import NO_SANDBOX, ExecutorSettings, Isolation, UnprivilegedUser
from ameide.rpc.clients import Clients
from ameide_core_proto.transformation.work.v1.command_service_pb import RecordWorkOutcomeRequest
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode
from tests.infra.executor_process import STEPS
from tests.infra.work_double import WorkDouble, tool_run


async def run(
    double: WorkDouble, settings: ExecutorSettings, store: ObjectStore, script: str
) -> RecordWorkOutcomeRequest:
    await double.offer(tool_run("wrk-1", script))
    async with Clients(settings.address, settings.token) as clients:
        await Executor(settings, STEPS, clients, store).run_once()
    return double.outcomes.pop("wrk-1")


async def texts(outcome: RecordWorkOutcomeRequest, store: ObjectStore) -> dict[str, str]:
    assert outcome.evidence
    return {one.name: (await store.get(one.uri)).decode() for one in outcome.evidence.artifacts}


def _found(monkeypatch: pytest.MonkeyPatch, program: Program | None) -> None:
    def find(_user: UnprivilegedUser | None) -> Program | None:
        return program

    monkeypatch.setattr(choice, "find_bubblewrap", find)


@pytest.mark.parametrize(
    ("script", "named"),
    [
        ("#!/bin/sh\necho no namespaces here >&2\nexit 1\n", "no namespaces here"),
        # One that starts the program where it stands: the canary finds out.
        (
            '#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\nshift\nexec "$@"\n',
            "did not report|does not hold|cannot be made",
        ),
    ],
)
async def test_a_sandbox_that_does_not_hold_refuses_the_work(
    double: WorkDouble,
    settings: ExecutorSettings,
    store: ObjectStore,
    state_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    named: str,
) -> None:
    broken = state_dir / "bwrap"
    broken.write_text(script)
    broken.chmod(0o755)
    _found(monkeypatch, Program(broken, "broken"))
    result = (await run(double, settings, store, "echo it ran")).result
    assert result
    assert result.failure_code is FailureCode.SANDBOX_UNAVAILABLE, result.summary
    assert any(part in result.summary for part in named.split("|")), result.summary
    assert "AMEIDE_SANDBOX=none" in result.summary


async def test_without_bubblewrap_the_work_is_refused_with_the_remedy(
    double: WorkDouble, settings: ExecutorSettings, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    _found(monkeypatch, None)
    outcome = await run(double, settings, store, "echo it ran")
    assert outcome.result
    assert outcome.result.failure_code is FailureCode.SANDBOX_UNAVAILABLE
    assert "install bubblewrap" in outcome.result.summary
    assert "it ran" not in (await texts(outcome, store))["work.log"]


async def test_the_operator_can_do_without_and_every_work_says_so(
    double: WorkDouble, settings: ExecutorSettings, store: ObjectStore
) -> None:
    open_settings = replace(settings, isolation=Isolation(sandbox=NO_SANDBOX))
    outcome = await run(double, open_settings, store, "ls /proc | grep -c '^[0-9]'")
    kept = await texts(outcome, store)
    assert json.loads(kept[SANDBOX])["sandbox"] == "none"
    assert "AMEIDE_SANDBOX=none" in kept["work.log"]


async def test_a_named_host_of_this_machine_is_reached_at_its_port_and_nothing_else(
    double: WorkDouble, settings: ExecutorSettings, store: ObjectStore
) -> None:
    port = settings.address.rpartition(":")[2]
    named = replace(settings, isolation=Isolation(verify_hosts=(f"127.0.0.1:{port}",)))
    ask = f"curl -s -o /dev/null -w '%{{http_code}}' http://127.0.0.1:{port}/; curl -s -o /dev/null http://127.0.0.1:1/"
    outcome = await run(double, named, store, ask)
    kept = await texts(outcome, store)
    [reached] = json.loads(kept[NETWORK])["connections"]
    assert (reached["target"], reached["allowed"]) == (f"127.0.0.1:{port}", True)
    assert reached["sent"] > 0
    assert reached["received"] > 0
    assert bubblewrap.REMEDY not in kept["work.log"]


async def test_a_key_in_a_folder_that_is_shown_is_not_there(
    double: WorkDouble, settings: ExecutorSettings, store: ObjectStore, state_dir: Path
) -> None:
    shown = state_dir / "shown"
    shown.mkdir()
    for name in ("client.key", "client.crt"):
        (shown / name).write_text(f"the {name}")
        (shown / name).chmod(0o644)
    shown.chmod(0o755)
    isolation = Isolation(readable=(shown,), hidden=(shown / "client.key",))
    outcome = await run(double, replace(settings, isolation=isolation), store, f"cat {shown}/*")
    said = (await texts(outcome, store))["work.log"]
    assert "the client.crt" in said
    assert "the client.key" not in said
