"""The Domain that an executor is tried on: the real one, as its own process, with a short lease."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from ameide import config
from ameide.app.upkeep import bootstrap
from ameide.contracts.topics import QUEUE_VERIFY
from ameide.rpc.clients import Clients
from ameide_core_proto.transformation.governance.v1 import access_service_pb as access
from ameide_core_proto.transformation.governance.v1 import command_service_pb as governance
from ameide_core_proto.transformation.governance.v1.governance_pb import Principal, PrincipalKind
from ameide_core_proto.transformation.work.v1 import command_service_pb as pb
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, TimeoutPolicy, WorkKind, WorkRequest
from tests.conftest import SpineDatabase

LEASE_SECONDS = 12
_READY_WITHIN = 60.0
_REPOSITORY = "kit"


@dataclass(frozen=True)
class Domain:
    """Its door, its database, and the folder that evidence lies in."""

    address: str
    spine: SpineDatabase
    objects: Path
    settings: dict[str, str]

    def sql(self, statement: str, *params: object) -> list[dict[str, Any]]:
        """As the superuser, past row-level security."""
        with psycopg.connect(self.spine.address.conninfo, autocommit=True) as admin:
            cursor = admin.cursor(row_factory=dict_row).execute(statement.encode(), params)
            return cursor.fetchall() if cursor.description else []

    @asynccontextmanager
    async def tenant(self, name: str) -> AsyncGenerator[Tenant]:
        """A tenant of its own, so that several executors are tried at a time."""
        settings = config.read({**self.settings, "AMEIDE_TENANT": name})
        person, service = PrincipalKind.PERSON, PrincipalKind.SERVICE
        tokens = await bootstrap(
            settings,
            [
                (Principal(principal_id="owner", kind=person, roles=["admin", "operator"]), ()),
                (Principal(principal_id="executor", kind=service, roles=["executor"]), ()),
                (Principal(principal_id="rival", kind=service, roles=["executor"]), (QUEUE_VERIFY,)),
            ],
        )
        async with AsyncExitStack() as stack:
            owner = await stack.enter_async_context(Clients(self.address, tokens["owner"]))
            rival = await stack.enter_async_context(Clients(self.address, tokens["rival"]))
            yield Tenant(self, name, owner, rival)


@dataclass
class Tenant:
    """What the kit says to the Domain: `owner` asks for works, `rival` takes them away."""

    domain: Domain
    name: str
    owner: Clients
    rival: Clients
    _asked: int = 0

    async def token(self, queues: Sequence[str], *, only_executes: bool) -> str:
        """A token for the executor that is tried."""
        command = access.IssueTokenRequest(principal_id="executor", queues=list(queues), only_executes=only_executes)
        return (await self.owner.access.issue_token(command)).secret

    async def register(self, url: str) -> None:
        """The repository of the kit."""
        await self.owner.governance.register_repository(
            governance.RegisterRepositoryRequest(
                client_request_id="register", name=_REPOSITORY, url=url, default_branch="main"
            )
        )

    async def request(self, commit: str) -> WorkRequest:
        """Ask for the verification of a commit."""
        self._asked += 1
        answer = await self.owner.work.request_work(
            pb.RequestWorkRequest(
                client_request_id=f"work/{self._asked}",
                work_kind=WorkKind.TOOL_RUN,
                action_kind=ActionKind.VERIFY,
                repository_id=_REPOSITORY,
                commit_sha=commit,
                timeout_policy=TimeoutPolicy(claim_by_seconds=600, run_for_seconds=600, silent_for_seconds=600),
                lost_claim_retries=5,
            )
        )
        assert answer.work is not None
        return answer.work

    async def cancel(self, work: WorkRequest) -> None:
        """Ask that a work ends."""
        command = pb.CancelWorkRequest(
            client_request_id=f"cancel/{work.work_request_id}", work_request_id=work.work_request_id
        )
        await self.owner.work.cancel_work(command)

    async def cancel_all(self) -> None:
        """Ask that whatever has not ended ends, and wait until nobody runs it."""
        rows = self.domain.sql(
            "SELECT state FROM ameide.work WHERE tenant_id = %s AND status IN ('requested', 'started')", self.name
        )
        for row in rows:
            work = WorkRequest.from_binary(row["state"])
            self.expire(work)
            await self.cancel(work)

    def status(self, work: WorkRequest) -> str:
        """requested, started, succeeded, failed or canceled."""
        [row] = self.domain.sql(
            "SELECT status FROM ameide.work WHERE tenant_id = %s AND work_request_id = %s",
            self.name,
            work.work_request_id,
        )
        return str(row["status"])

    def ended_by(self, work: WorkRequest, attempt: int) -> str:
        """How a claim ended, empty while it is the current one."""
        rows = self.domain.sql(
            "SELECT ended_by FROM ameide.attempt WHERE tenant_id = %s AND work_request_id = %s AND attempt = %s",
            self.name,
            work.work_request_id,
            attempt,
        )
        return str(rows[0]["ended_by"] or "") if rows else ""

    def lost(self, work: WorkRequest, attempt: int) -> bool:
        """Whether the sweeper has ended the claim, whose lease passes now, whatever a heartbeat has made of it."""
        self.expire(work)
        return self.ended_by(work, attempt) != ""

    def expire(self, work: WorkRequest) -> None:
        """As if the lease had passed: the sweeper ends it with its next look."""
        self.domain.sql(
            "UPDATE ameide.attempt SET lease_until = now() - interval '1 s' "
            "WHERE tenant_id = %s AND work_request_id = %s AND ended_at IS NULL",
            self.name,
            work.work_request_id,
        )

    async def take_over(self, work: WorkRequest) -> None:
        """The rival gets the work, which was taken from its executor, and ends it."""
        claim_id = f"rival-of-the-executor-{self._asked}"
        command = pb.RecordWorkStartedRequest(work_request_id=work.work_request_id, claim_id=claim_id, runner="kit")
        answer = await self.rival.work.record_work_started(command)
        assert answer.answer is pb.ClaimAnswer.RUN
        await self.cancel(work)
        release = pb.ReleaseWorkRequest(work_request_id=work.work_request_id, attempt=answer.attempt, claim_id=claim_id)
        await self.rival.work.release_work(release)

    def evidence(self, pair: tuple[str, int, str], name: str) -> bytes:
        """An artifact of an attempt, as the store has it. Raises FileNotFoundError."""
        work, attempt, claim_id = pair
        return (self.domain.objects / "work" / self.name / work / f"{attempt}-{claim_id}" / name).read_bytes()


@asynccontextmanager
async def serving(spine: SpineDatabase, folder: Path) -> AsyncGenerator[Domain]:
    """A Domain with relay and sweeper on a prepared database; `folder` is there."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    objects = folder / "objects"
    settings = {
        "AMEIDE_STATE_DIR": str(folder),
        "AMEIDE_LISTEN_PORT": str(port),
        "AMEIDE_OBJECT_STORE": objects.as_uri(),
        "AMEIDE_LEASE_SECONDS": str(LEASE_SECONDS),
        **{f"AMEIDE_DATABASE_URL_{role}": spine.dsn(f"ameide_{role.lower()}") for role in ("APP", "RELAY", "SWEEPER")},
    }
    ready = folder / "domain.ready"
    passed = {name: value for name, value in os.environ.items() if not name.startswith(("AMEIDE_", "KAFKA_", "OTEL_"))}
    with (folder / "domain.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ameide", "serve", "domain", "relay", "sweeper", "--ready-file", str(ready)),
            env={**passed, **settings},
            stdout=log,
            stderr=log,
        )
    try:
        async with asyncio.timeout(_READY_WITHIN):
            while not ready.exists():
                if process.returncode is not None:
                    raise RuntimeError(f"the Domain ended; see {folder / 'domain.log'}")
                await asyncio.sleep(0.05)
        yield Domain(f"http://127.0.0.1:{port}", spine, objects, settings)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
