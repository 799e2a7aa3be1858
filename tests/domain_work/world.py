"""A Domain on a database of its own: what a test says to it, and what it can see afterwards."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import psycopg
from psycopg.rows import dict_row

from ameide.contracts.facts import open_payload
from ameide.domain.commands import changes, claims, knowledge, work_requests
from ameide.domain.commands.gateway import Gateway
from ameide.domain.decisions.default_policy import default_policy
from ameide.domain.service import Service
from ameide.domain.sweeper import Sweeper
from ameide.domain.unit import Unit
from ameide.events.relay import Relay
from ameide.events.wakeups import Wakeups
from ameide.rpc.interceptors import Caller
from ameide.storage.db import Database
from ameide_core_proto.transformation.governance.v1 import command_service_pb as governance
from ameide_core_proto.transformation.governance.v1.governance_pb import Change, GitopsTarget, Run
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.knowledge.v1 import command_service_pb as knowledge_pb
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import ArtifactContent, ArtifactKind
from ameide_core_proto.transformation.work.v1 import command_service_pb as pb
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    EvidenceArtifact,
    EvidenceBundle,
    FailureCode,
    Outputs,
    Usage,
    WorkInputs,
    WorkKind,
    WorkRequest,
    WorkResult,
)
from tests.conftest import SpineDatabase

BASE, HEAD, CANDIDATE, MAIN = "a" * 40, "b" * 40, "c" * 40, "d" * 40
DIFF = "e" * 64


def caller(name: str, *roles: str, tenant: str = "default", queues: tuple[str, ...] = ()) -> Caller:
    """A principal as the door would know it."""
    return Caller(tenant, name, "SERVICE", frozenset(roles), frozenset(queues))


PROCESS = caller("process", "process")
OPERATOR = caller("olga", "operator", "requester", "approver", "releaser")


def key() -> str:
    """A new client request id or claim id."""
    return uuid.uuid4().hex


@dataclass(frozen=True)
class Claimed:
    """A RUN and the claim that it answered."""

    work: WorkRequest
    attempt: int
    claim_id: str
    executor: Caller


class World:
    """Speaks to the Domain as its callers do, below the wire."""

    def __init__(self, spine: SpineDatabase, app: Database, relay: Database, sweeper: Database) -> None:
        self.spine = spine
        self.app = app
        self.wakeups = Wakeups()
        self.service = Service(app, lambda: self.wakeups.ring("outbox"))
        self.relay = Relay(relay, self.wakeups)
        self.sweeper = Sweeper(sweeper, self.wakeups)
        self.gateway = Gateway(self.service, self.wakeups)

    def sql(self, statement: str, *params: object) -> list[dict[str, object]]:
        """As the superuser, past row-level security."""
        with psycopg.connect(self.spine.address.conninfo, autocommit=True) as admin:
            cursor = admin.cursor(row_factory=dict_row).execute(statement.encode(), params)
            return cursor.fetchall() if cursor.description else []

    def stated(self, work_request_id: str = "", kind: str = "fact") -> list[str]:
        """Names of what was stated about a work, in order, whether sequenced or still in the outbox."""
        rows = self.sql(
            "SELECT name FROM (SELECT 0 AS place, position AS id, name, work_request_id, kind FROM ameide.log "
            "UNION ALL SELECT 1, id, name, work_request_id, kind FROM ameide.outbox) AS m "
            "WHERE kind = %s AND (%s = '' OR work_request_id = %s) ORDER BY place, id",
            kind,
            work_request_id,
            work_request_id,
        )
        return [str(row["name"]) for row in rows]

    def last_fact(self, work_request_id: str) -> object:
        """The newest fact about a work that is still in the outbox."""
        row = self.sql(
            "SELECT topic, payload FROM ameide.outbox WHERE kind = 'fact' AND work_request_id = %s "
            "ORDER BY id DESC LIMIT 1",
            work_request_id,
        )[0]
        payload = row["payload"]
        assert isinstance(payload, bytes)
        return open_payload(str(row["topic"]), payload).fact

    def governance_facts(self) -> list[object]:
        """What was stated about changes, runs, gates and so on and is still in the outbox, in order."""
        rows = self.sql("SELECT topic, payload FROM ameide.outbox WHERE topic LIKE '%%governance%%' ORDER BY id")
        return [
            open_payload(str(row["topic"]), row["payload"]).fact for row in rows if isinstance(row["payload"], bytes)
        ]

    def expire_lease(self, work_request_id: str) -> None:
        """As if the lease had passed a second ago."""
        self.sql(
            "UPDATE ameide.attempt SET lease_until = now() - interval '1 s' WHERE work_request_id = %s", work_request_id
        )

    async def register(self, name: str = "orders", policy: Policy | None = None, tenant: str = "default") -> None:
        await self.service.execute(
            caller("olga", "operator", tenant=tenant),
            "RegisterRepository",
            governance.RegisterRepositoryRequest(
                client_request_id=key(),
                name=name,
                url=f"file:///srv/{name}",
                default_branch="main",
                credential_ref="env:GIT",
                gitops=GitopsTarget(url="file:///srv/gitops", branch="main"),
                policy=policy or default_policy(name, gitops=True),
            ),
            governance.RegisterRepositoryResponse,
            changes.register_repository,
        )

    async def open_change(self, repository: str = "orders") -> Change:
        response = await self.service.execute(
            OPERATOR,
            "OpenChange",
            governance.OpenChangeRequest(client_request_id=key(), repository_id=repository, title="cancel an order"),
            governance.OpenChangeResponse,
            changes.open_change,
        )
        assert response.change is not None
        return response.change

    async def start_run(self, change: Change) -> Run:
        content = ArtifactContent(title="cancel", text="An order can be canceled.", acceptance_criteria=["1"])
        proposed = await self.service.execute(
            OPERATOR,
            "ProposeArtifact",
            knowledge_pb.ProposeArtifactRequest(
                client_request_id=key(), change_id=change.change_id, kind=ArtifactKind.REQUIREMENT, content=content
            ),
            knowledge_pb.ProposeArtifactResponse,
            knowledge.propose_artifact,
        )
        assert proposed.artifact is not None
        await self.service.execute(
            OPERATOR,
            "SubmitArtifact",
            knowledge_pb.SubmitArtifactRequest(
                client_request_id=key(), artifact_id=proposed.artifact.artifact_id, expected_number=1
            ),
            knowledge_pb.SubmitArtifactResponse,
            knowledge.submit_artifact,
        )
        started = await self.service.execute(
            OPERATOR,
            "StartRun",
            governance.StartRunRequest(
                client_request_id=key(), change_id=change.change_id, artifact_id=proposed.artifact.artifact_id
            ),
            governance.StartRunResponse,
            changes.start_run,
        )
        assert started.run is not None
        return started.run

    async def open_run(self, policy: Policy | None = None) -> Run:
        """A repository, a change on it and its first run."""
        await self.register(policy=policy)
        return await self.start_run(await self.open_change())

    async def request(self, command: pb.RequestWorkRequest, by: Caller = PROCESS) -> pb.RequestWorkResponse:
        return await self.service.execute(
            by, "RequestWork", command, pb.RequestWorkResponse, work_requests.request_work, asks_first=True
        )

    async def requested(self, command: pb.RequestWorkRequest) -> WorkRequest:
        work = (await self.request(command)).work
        assert work is not None
        return work

    async def claim(self, work_request_id: str, by: Caller, claim_id: str) -> pb.RecordWorkStartedResponse:
        async def handler(unit: Unit) -> pb.RecordWorkStartedResponse:
            return await claims.record_work_started(unit, work_request_id, claim_id)

        return await self.service.perform(by, "RecordWorkStarted", None, handler)

    async def run(self, work: WorkRequest, executor: str = "verifier") -> Claimed:
        """Claim a work and get it."""
        by, claim_id = caller(executor, "executor", queues=(work.queue,)), key()
        answer = await self.claim(work.work_request_id, by, claim_id)
        assert answer.answer == pb.ClaimAnswer.RUN
        assert answer.work is not None
        return Claimed(answer.work, answer.attempt, claim_id, by)

    async def heartbeat(
        self, claimed: Claimed, usage: Usage | None = None, log_tail: str = ""
    ) -> pb.RecordWorkHeartbeatResponse:
        command = pb.RecordWorkHeartbeatRequest(
            work_request_id=claimed.work.work_request_id,
            attempt=claimed.attempt,
            claim_id=claimed.claim_id,
            usage=usage,
            log_tail=log_tail,
        )

        async def handler(unit: Unit) -> pb.RecordWorkHeartbeatResponse:
            return await claims.record_work_heartbeat(unit, command)

        return await self.service.perform(claimed.executor, "RecordWorkHeartbeat", None, handler)

    async def outcome(self, claimed: Claimed, command: pb.RecordWorkOutcomeRequest) -> pb.RecordWorkOutcomeResponse:
        async def handler(unit: Unit) -> pb.RecordWorkOutcomeResponse:
            return await claims.record_work_outcome(unit, command)

        return await self.service.perform(claimed.executor, "RecordWorkOutcome", None, handler)

    async def succeed(self, claimed: Claimed, **outputs: str) -> pb.RecordWorkOutcomeResponse:
        return await self.outcome(claimed, success(claimed, **outputs))

    async def fail(self, claimed: Claimed, code: FailureCode = FailureCode.TOOL_FAILED) -> pb.RecordWorkOutcomeResponse:
        return await self.outcome(claimed, failure(claimed, code))

    async def release(self, claimed: Claimed) -> WorkRequest:
        command = pb.ReleaseWorkRequest(
            work_request_id=claimed.work.work_request_id, attempt=claimed.attempt, claim_id=claimed.claim_id
        )

        async def handler(unit: Unit) -> pb.ReleaseWorkResponse:
            return await claims.release_work(unit, command)

        work = (await self.service.perform(claimed.executor, "ReleaseWork", None, handler)).work
        assert work is not None
        return work

    async def cancel(self, work_request_id: str, by: Caller = PROCESS) -> WorkRequest:
        response = await self.service.execute(
            by,
            "CancelWork",
            pb.CancelWorkRequest(client_request_id=key(), work_request_id=work_request_id, reason="not needed"),
            pb.CancelWorkResponse,
            work_requests.cancel_work,
        )
        assert response.work is not None
        return response.work

    async def relayed(self) -> None:
        """Everything in the outbox has its place in the log, and every invitation is in its queue."""
        while await self.relay.move():
            pass

    async def poll(self, queue: str, claim_id: str, by: Caller | None = None, wait: int = 0) -> pb.PollWorkResponse:
        executor = by or caller("verifier", "executor", queues=(queue,))
        return await self.gateway.poll(
            executor, pb.PollWorkRequest(queues=[queue], claim_id=claim_id, wait_seconds=wait, runner="pool-1")
        )


def verify(run: Run | None = None, commit: str = HEAD) -> pb.RequestWorkRequest:
    """A request to verify a commit."""
    return pb.RequestWorkRequest(
        client_request_id=key(),
        process_instance_id=run.process_instance_id if run else "",
        work_kind=WorkKind.TOOL_RUN,
        action_kind=ActionKind.VERIFY,
        repository_id="orders",
        commit_sha=commit,
    )


def code(run: Run) -> pb.RequestWorkRequest:
    """A request to an agent to write code."""
    return pb.RequestWorkRequest(
        client_request_id=key(),
        process_instance_id=run.process_instance_id,
        work_kind=WorkKind.AGENT_WORK,
        action_kind=ActionKind.PUBLISH,
        repository_id="orders",
        base_sha=BASE,
        commit_sha=BASE,
        inputs=WorkInputs(branch=f"agent/coder/{run.change_id}/1"),
    )


def evidence(claimed: Claimed) -> EvidenceBundle:
    """A bundle of the attempt, with one artifact where it belongs."""
    folder = f"work/default/{claimed.work.work_request_id}/{claimed.attempt}-{claimed.claim_id}"
    return EvidenceBundle(
        evidence_bundle_id=f"evd-{claimed.attempt}",
        work_request_id=claimed.work.work_request_id,
        attempt=claimed.attempt,
        tool_name="pytest",
        artifacts=[EvidenceArtifact(name="log.txt", uri=f"store:{folder}/log.txt", sha256="0" * 64)],
    )


def success(claimed: Claimed, **outputs: str) -> pb.RecordWorkOutcomeRequest:
    """A success with evidence."""
    named = Outputs()
    for name, value in outputs.items():
        setattr(named, name, value)
    return pb.RecordWorkOutcomeRequest(
        work_request_id=claimed.work.work_request_id,
        attempt=claimed.attempt,
        claim_id=claimed.claim_id,
        outcome=pb.WorkOutcome.SUCCESS,
        result=WorkResult(summary="green", outputs=named),
        evidence=evidence(claimed),
    )


def failure(claimed: Claimed, code: FailureCode = FailureCode.TOOL_FAILED) -> pb.RecordWorkOutcomeRequest:
    """A failure with evidence."""
    return pb.RecordWorkOutcomeRequest(
        work_request_id=claimed.work.work_request_id,
        attempt=claimed.attempt,
        claim_id=claimed.claim_id,
        outcome=pb.WorkOutcome.FAILURE,
        result=WorkResult(summary="red", exit_code=1, failure_code=code),
        evidence=evidence(claimed),
    )
