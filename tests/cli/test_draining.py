"""Processes that are told to end: what they have begun is ended, what they would begin is left to others."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import httpx
import psycopg
import pytest

from ameide import config
from ameide.app import upkeep
from ameide.cli.principals import admissions
from ameide.contracts import topics
from ameide.engine.ports import is_free
from ameide.errors import Unreachable
from ameide.rpc.clients import Clients
from ameide_core_proto.transformation.governance.v1.access_service_pb import AdmitPrincipalRequest
from ameide_core_proto.transformation.governance.v1.command_service_pb import RegisterRepositoryRequest
from ameide_core_proto.transformation.governance.v1.governance_pb import PrincipalKind
from ameide_core_proto.transformation.work.v1.command_service_pb import (
    ClaimAnswer,
    PollWorkRequest,
    RequestWorkRequest,
)
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, WorkInputs, WorkKind
from tests.conftest import SpineDatabase

EXECUTOR = Path(__file__).parents[1] / "infra" / "executor_process.py"
_PORTS = range(12_000, 20_000)
ROLES = ("app", "relay", "sweeper", "ingress", "projector")
METRICS = {
    "events_published_total",
    "events_processed_total",
    "event_processing_duration_seconds",
    "consumer_lag_seconds",
    "outbox_oldest_age_seconds",
    "parked_messages",
    "queue_ready",
    "work_claims_total",
    "work_duration_seconds",
}


@dataclass
class Served:
    """`ameide serve domain relay sweeper projector` in a process of its own, with its door and its admin port."""

    process: subprocess.Popen[str]
    address: str
    admin: str
    tokens: dict[str, str]
    database: SpineDatabase

    def clients(self, who: str) -> Clients:
        """Clients as one of the principals."""
        return Clients(self.address, self.tokens[who])

    async def exit_code(self, within: float = 30) -> int:
        """Its exit code; fails when it does not end within so many seconds."""
        return await asyncio.wait_for(asyncio.to_thread(self.process.wait), within)


def free_ports(count: int) -> list[int]:
    """Ports that nobody has; below those that outgoing connections take, and by chance, so that tests which run at the
    same time do not choose the same ones.
    """
    return list(islice(filter(is_free, random.sample(_PORTS, len(_PORTS))), count))


def serve(folder: Path, *roles: str, **settings: object) -> subprocess.Popen[str]:
    """The roles in a process of their own, with these settings and no others."""
    environment = {"AMEIDE_STATE_DIR": str(folder), "TEMPORAL_ADDRESS": "127.0.0.1:1"}
    environment |= {f"AMEIDE_{key}": str(value) for key, value in settings.items()}
    return subprocess.Popen(
        [sys.executable, "-m", "ameide", "serve", *roles], env=environment, stderr=subprocess.PIPE, text=True
    )


async def until_answered(url: str) -> httpx.Response:
    """The first answer at a URL."""
    async with asyncio.timeout(60), httpx.AsyncClient(trust_env=False) as client:
        while True:
            with suppress(httpx.TransportError):
                return await client.get(url)


async def get(url: str) -> httpx.Response:
    """One answer."""
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(url)


@pytest.fixture
async def served(database: SpineDatabase, state_dir: Path) -> AsyncIterator[Served]:
    """A control process that is ready."""
    urls = {f"DATABASE_URL_{name.upper()}": database.dsn(f"ameide_{name}") for name in ROLES}
    tokens = await upkeep.bootstrap(config.read({f"AMEIDE_{name}": url for name, url in urls.items()}), admissions())
    port, admin = free_ports(2)
    process = serve(state_dir, "domain", "relay", "sweeper", "projector", LISTEN_PORT=port, ADMIN_PORT=admin, **urls)
    made = Served(process, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin}", tokens, database)
    try:
        await until_answered(f"{made.admin}/healthz")
        async with asyncio.timeout(60):
            while (await get(f"{made.admin}/readyz")).status_code != 200:
                assert process.poll() is None
        yield made
    finally:
        process.kill()
        process.communicate()


@contextmanager
def held(database: SpineDatabase, principal: str) -> Generator[Callable[[], bool]]:
    """Holds a principal's row, so that a call about it has to wait; gives whether one waits."""
    url = database.address.conninfo
    with psycopg.connect(url) as holder, psycopg.connect(url, autocommit=True) as looker:
        holder.execute("SELECT FROM ameide.aggregate WHERE kind = 'principal' AND id = %s FOR UPDATE", (principal,))
        yield lambda: bool(looker.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall())


def admission(name: str) -> AdmitPrincipalRequest:
    """A command that the owner may give any time."""
    return AdmitPrincipalRequest(client_request_id=name, principal_id=name, kind=PrincipalKind.PERSON, roles=["viewer"])


async def test_a_stop_under_load_loses_no_answer_and_ends_polls(served: Served) -> None:
    answered: set[str] = set()

    async def load(clients: Clients, name: str) -> None:
        number = 0
        with suppress(Unreachable):
            while True:
                number += 1
                await clients.access.admit_principal(admission(f"{name}-{number}"))
                answered.add(f"{name}-{number}")

    async with served.clients("owner") as owner, served.clients("verifier") as verifier:
        poll = asyncio.create_task(
            verifier.work.poll_work(
                PollWorkRequest(queues=[topics.QUEUE_VERIFY], claim_id="a-poll-that-waits", wait_seconds=14),
                timeout_ms=25_000,
            )
        )
        loads = [asyncio.create_task(load(owner, f"load{number}")) for number in range(8)]
        with held(served.database, "releaser") as waits:
            slow = asyncio.create_task(owner.access.admit_principal(admission("releaser")))
            async with asyncio.timeout(60):
                while len(answered) < 50 or not waits():
                    await asyncio.wait([*loads, slow], timeout=0.05)
            assert not poll.done()
            served.process.send_signal(signal.SIGTERM)
            assert (await poll).answer is ClaimAnswer.NONE
            await asyncio.gather(*loads)
            # The admin port goes on answering: the process lives, and is not to be sent anything.
            readiness = await get(f"{served.admin}/readyz")
            assert (readiness.status_code, readiness.json()["missing"]) == (503, ["stopping"])
            assert (await get(f"{served.admin}/healthz")).status_code == 200
            assert served.process.poll() is None
        assert (await slow).principal
        assert await served.exit_code() == 0
    with psycopg.connect(served.database.address.conninfo) as admin:
        rows = admin.execute("SELECT id FROM ameide.aggregate WHERE kind = 'principal'").fetchall()
    assert answered <= {row[0] for row in rows}


async def test_a_second_signal_waits_for_no_call(served: Served) -> None:
    async with served.clients("owner") as owner:
        with held(served.database, "releaser") as waits:
            slow = asyncio.create_task(owner.access.admit_principal(admission("releaser")))
            async with asyncio.timeout(30):
                while not waits():
                    await asyncio.wait([slow], timeout=0.05)
            served.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(30):
                while (await get(f"{served.admin}/readyz")).status_code == 200:
                    pass
            assert not slow.done()
            served.process.send_signal(signal.SIGTERM)
            assert await served.exit_code(within=20) == 0
            with pytest.raises(Unreachable):
                await slow
    assert "ending at once" in (served.process.stderr.read() if served.process.stderr else "")


async def test_a_stopped_executor_gives_its_claim_back_at_once(served: Served, state_dir: Path) -> None:
    said = {
        "address": served.address,
        "token": served.tokens["verifier"],
        "queue": topics.QUEUE_VERIFY,
        "work_root": str(state_dir / "work"),
        "object_store": (state_dir / "objects").as_uri(),
        "uid": "64102" if os.geteuid() == 0 else "",
    }
    async with served.clients("owner") as owner, served.clients("verifier") as verifier:
        registered = await owner.governance.register_repository(
            RegisterRepositoryRequest(
                client_request_id="repository", name="orders", url="file:///srv/orders", default_branch="main"
            )
        )
        assert registered.repository
        requested = await owner.work.request_work(
            RequestWorkRequest(
                client_request_id="work",
                work_kind=WorkKind.TOOL_RUN,
                action_kind=ActionKind.VERIFY,
                repository_id=registered.repository.repository_id,
                base_sha="a" * 40,
                commit_sha="a" * 40,
                inputs=WorkInputs(requirement_text="sleep 300"),
            )
        )
        assert requested.work
        executor = await asyncio.to_thread(subprocess.Popen, [sys.executable, str(EXECUTOR), json.dumps(said)])
        try:
            async with asyncio.timeout(60):
                while 'work_claims_total{answer="run"} 1.0' not in (
                    text := (await get(f"{served.admin}/metrics")).text
                ):
                    assert executor.poll() is None
            executor.terminate()
            again = await verifier.work.poll_work(
                PollWorkRequest(queues=[topics.QUEUE_VERIFY], claim_id="another-executor", wait_seconds=14),
                timeout_ms=25_000,
            )
            assert (again.answer, again.attempt) == (ClaimAnswer.RUN, 2)
            # Given back, not taken away after its lease.
            assert again.work
            assert again.work.lost_claims == 0
            assert await asyncio.to_thread(executor.wait, 30) == 0
        finally:
            executor.kill()
            executor.wait()
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# HELP")}
    assert names >= METRICS
    assert "default" not in text
    assert requested.work.work_request_id not in text
    assert f'queue_ready{{queue="{topics.QUEUE_VERIFY}"}}' in text
    assert 'consumer_lag_seconds{consumer="projector"}' in text


@pytest.fixture
def waiting(state_dir: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A worker whose Temporal is not there, and its admin port."""
    [admin] = free_ports(1)
    process = serve(
        state_dir,
        "worker",
        ADDRESS="http://127.0.0.1:1",
        PROCESS_TOKEN="none",
        ADMIN_PORT=admin,
    )
    yield process, f"http://127.0.0.1:{admin}"
    process.kill()
    process.communicate()


async def test_a_worker_that_never_got_ready_ends_all_the_same(waiting: tuple[subprocess.Popen[str], str]) -> None:
    process, admin = waiting
    assert (await until_answered(f"{admin}/healthz")).status_code == 200
    answer = await get(f"{admin}/readyz")
    assert (answer.status_code, answer.json()["missing"]) == (503, ["starting"])
    assert "process_resident_memory_bytes" in (await get(f"{admin}/metrics")).text
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, 60) == 0
