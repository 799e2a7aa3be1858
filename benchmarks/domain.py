"""What benchmarks need of the Domain: a repository, changes with a run each, works in any number, a caller."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import psycopg

from ameide.contracts import topics
from ameide.contracts.ids import new_id
from ameide.domain.commands import changes, knowledge, work_requests
from ameide.domain.commands.gateway import Gateway
from ameide.domain.decisions.default_policy import default_policy
from ameide.domain.service import Service
from ameide.errors import Conflict
from ameide.events.wakeups import Wakeups
from ameide.rpc.interceptors import Caller
from ameide.storage.db import Database
from ameide_core_proto.transformation.governance.v1 import command_service_pb as governance
from ameide_core_proto.transformation.governance.v1.governance_pb import Run
from ameide_core_proto.transformation.knowledge.v1 import command_service_pb as knowledge_pb
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import ArtifactContent, ArtifactKind
from ameide_core_proto.transformation.work.v1 import command_service_pb as pb
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    EvidenceBundle,
    WorkKind,
    WorkRequest,
    WorkResult,
)
from benchmarks.installation import Installation

REPOSITORY = "orders"
QUEUE = topics.QUEUE_VERIFY
TENANT = "default"
OPERATOR = Caller(TENANT, "owner", "PERSON", frozenset({"operator", "requester", "approver", "releaser"}))
PROCESS = Caller(TENANT, "process", "SERVICE", frozenset({"process"}))
EXECUTOR = Caller(TENANT, "verifier", "SERVICE", frozenset({"executor"}), frozenset({QUEUE}))
_SIDE_BY_SIDE = 8


class Domain:
    """The Domain in this process, on the pool of the application role."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.wakeups = Wakeups()
        self.service = Service(database, lambda: self.wakeups.ring("outbox"))
        self.gateway = Gateway(self.service, self.wakeups, lease_seconds=60)

    async def register(self) -> None:
        """The one repository; nothing when it is there already."""
        with suppress(Conflict):
            await self.service.execute(
                OPERATOR,
                "RegisterRepository",
                governance.RegisterRepositoryRequest(
                    client_request_id=key(),
                    name=REPOSITORY,
                    url="file:///srv/orders",
                    default_branch="main",
                    policy=default_policy(REPOSITORY, gitops=False),
                ),
                governance.RegisterRepositoryResponse,
                changes.register_repository,
            )

    async def run(self) -> Run:
        """A change with its first run open."""
        opened = await self.service.execute(
            OPERATOR,
            "OpenChange",
            governance.OpenChangeRequest(client_request_id=key(), repository_id=REPOSITORY, title="cancel an order"),
            governance.OpenChangeResponse,
            changes.open_change,
        )
        assert opened.change is not None
        proposed = await self.service.execute(
            OPERATOR,
            "ProposeArtifact",
            knowledge_pb.ProposeArtifactRequest(
                client_request_id=key(),
                change_id=opened.change.change_id,
                kind=ArtifactKind.REQUIREMENT,
                content=ArtifactContent(title="cancel", text="An order can be canceled.", acceptance_criteria=["1"]),
            ),
            knowledge_pb.ProposeArtifactResponse,
            knowledge.propose_artifact,
        )
        assert proposed.artifact is not None
        artifact_id = proposed.artifact.artifact_id
        await self.service.execute(
            OPERATOR,
            "SubmitArtifact",
            knowledge_pb.SubmitArtifactRequest(client_request_id=key(), artifact_id=artifact_id, expected_number=1),
            knowledge_pb.SubmitArtifactResponse,
            knowledge.submit_artifact,
        )
        started = await self.service.execute(
            OPERATOR,
            "StartRun",
            governance.StartRunRequest(
                client_request_id=key(), change_id=opened.change.change_id, artifact_id=artifact_id
            ),
            governance.StartRunResponse,
            changes.start_run,
        )
        assert started.run is not None
        return started.run

    async def runs(self, number: int) -> list[Run]:
        """So many changes with an open run each."""
        gate = asyncio.Semaphore(_SIDE_BY_SIDE)

        async def one() -> Run:
            async with gate:
                return await self.run()

        return list(await asyncio.gather(*(one() for _ in range(number))))

    async def request(self, command: pb.RequestWorkRequest) -> WorkRequest:
        """RequestWork as the Process, below the wire."""
        answer = await self.service.execute(
            PROCESS, "RequestWork", command, pb.RequestWorkResponse, work_requests.request_work, asks_first=True
        )
        assert answer.work is not None
        return answer.work


@asynccontextmanager
async def domain(installation: Installation, *, size: int = 16) -> AsyncGenerator[Domain]:
    """The Domain of an installation, in this process, with a repository in it unless it was there."""
    database = Database(installation.dsn("app"), min_size=size, max_size=size)
    await database.open()
    try:
        yield Domain(database)
    finally:
        await database.close()


def verify(process_instance_id: str = "") -> pb.RequestWorkRequest:
    """A request to verify a commit, for a run or for none."""
    return pb.RequestWorkRequest(
        client_request_id=key(),
        process_instance_id=process_instance_id,
        work_kind=WorkKind.TOOL_RUN,
        action_kind=ActionKind.VERIFY,
        repository_id=REPOSITORY,
        commit_sha="b" * 40,
    )


def outcome(work: WorkRequest, attempt: int, claim_id: str) -> pb.RecordWorkOutcomeRequest:
    """What an executor says of a step that did nothing."""
    return pb.RecordWorkOutcomeRequest(
        work_request_id=work.work_request_id,
        attempt=attempt,
        claim_id=claim_id,
        outcome=pb.WorkOutcome.SUCCESS,
        result=WorkResult(summary="nothing to do"),
        evidence=EvidenceBundle(
            evidence_bundle_id=f"evd-{work.work_request_id}",
            work_request_id=work.work_request_id,
            attempt=attempt,
            tool_name="noop",
        ),
    )


def key() -> str:
    """A new client request id or claim id."""
    return uuid.uuid4().hex


async def waiting_works(installation: Installation, number: int, *, queue: str = QUEUE) -> None:
    """So many requested works with their invitations, copied from one that was really requested.

    They belong to no run. Written past the service, which would take minutes for what is only the backdrop.
    """
    async with domain(installation, size=2) as there:
        template = await there.request(verify())
    with psycopg.connect(installation.admin.conninfo, autocommit=True) as admin:
        row = admin.execute(
            "SELECT announce_at, claim_deadline, version FROM ameide.work WHERE work_request_id = %s",
            (template.work_request_id,),
        ).fetchone()
        assert row is not None
        ids = [new_id("wrk") for _ in range(number)]
        with (
            admin.cursor() as cursor,
            cursor.copy(
                "COPY ameide.work (tenant_id, work_request_id, queue, status, announce_at, claim_deadline, version, "
                "state) FROM STDIN (FORMAT BINARY)"
            ) as copy,
        ):
            copy.set_types(["text", "text", "text", "text", "timestamptz", "timestamptz", "int8", "bytea"])
            for id in ids:
                template.work_request_id, template.queue = id, queue
                copy.write_row((TENANT, id, queue, "requested", *row, template.to_binary()))
        first = admin.execute("SELECT coalesce(max(position), 0) FROM ameide.queue_item").fetchone()
        assert first is not None
        with (
            admin.cursor() as cursor,
            cursor.copy(
                "COPY ameide.queue_item (queue, tenant_id, work_request_id, dispatch, position) "
                "FROM STDIN (FORMAT BINARY)"
            ) as copy,
        ):
            copy.set_types(["text", "text", "text", "int4", "int8"])
            for place, id in enumerate(ids, int(first[0]) + 1):
                copy.write_row((queue, TENANT, id, 1, place))
        admin.execute("DELETE FROM ameide.outbox WHERE work_request_id = %s", (template.work_request_id,))
        admin.execute("VACUUM (ANALYZE) ameide.work, ameide.queue_item")
