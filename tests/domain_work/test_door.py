"""The door of delegated work over HTTP: validation with field and remedy, and a caller who hangs up while polling."""

import asyncio
import socket
from collections.abc import AsyncIterator

import httpx
import pytest
import uvicorn

from ameide.contracts import topics
from ameide.domain.commands.work import WorkCommands
from ameide.domain.server import Server
from ameide.errors import Fenced, PermissionDenied, Refused, Unauthenticated
from ameide.rpc.clients import Clients
from ameide.rpc.interceptors import Caller, Door
from ameide.rpc.probes import Probes
from ameide_core_proto.transformation.work.v1 import command_service_pb as pb
from ameide_core_proto.transformation.work.v1.command_service_connect import WorkCommandServiceASGIApplication
from tests.domain_work.world import Claimed, World, caller, code, key, success, verify

CALLERS = {
    "process": caller("process", "process"),
    "verifier": caller("verifier", "executor", queues=(topics.QUEUE_VERIFY,)),
    "author": caller("author", "executor", queues=(topics.QUEUE_CODER, topics.QUEUE_VERIFY)),
    "viewer": caller("vera", "viewer"),
}
SERVICE = "/ameide_core_proto.transformation.work.v1.WorkCommandService"


@pytest.fixture
async def address(world: World) -> AsyncIterator[str]:
    """The work commands of a Domain, served on a free port."""

    async def authenticate(token: str) -> Caller:
        if token not in CALLERS:
            raise Unauthenticated("the token is not valid", remedy="Set AMEIDE_TOKEN")
        return CALLERS[token]

    commands = WorkCommands(world.service, world.wakeups)
    door = WorkCommandServiceASGIApplication(commands, interceptors=(Door(authenticate),))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(Server([door], Probes()), log_config=None, lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        await serving


async def post(address: str, method: str, body: str, token: str = "process") -> httpx.Response:
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(f"{address}{SERVICE}/{method}", content=body, headers=headers, timeout=10)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"commitSha":"x"}', "commit_sha"),
        ('{"repositoryId":"orders","inputs":{"imageRef":"orders:latest"}}', "inputs.image_ref"),
        ('{"repositoryId":"orders","summary":"' + "x" * 2**20 + '"}', "summary"),
    ],
)
async def test_a_malformed_request_is_told_the_field_and_the_remedy(
    world: World, address: str, body: str, field: str
) -> None:
    response = await post(address, "RequestWork", body)
    assert response.status_code == 400
    told = response.json()
    assert told["code"] == "invalid_argument"
    assert f"{field}: " in told["message"]
    violations = {v["field"]: v for v in told["details"][0]["debug"]["violations"]}
    assert violations[field]["what"]
    assert violations[field]["remedy"]
    assert world.sql("SELECT 1 FROM ameide.work UNION ALL SELECT 1 FROM ameide.idempotency") == []


async def test_from_request_to_outcome_over_the_wire(world: World, address: str) -> None:
    run = await world.open_run()
    async with Clients(address, "process") as process, Clients(address, "verifier") as executor:
        work = (await process.work.request_work(verify(run))).work
        assert work is not None
        await world.relayed()
        claim_id = key()
        polled = await executor.work.poll_work(pb.PollWorkRequest(queues=[topics.QUEUE_VERIFY], claim_id=claim_id))
        assert polled.work is not None
        claimed = Claimed(polled.work, polled.attempt, claim_id, CALLERS["verifier"])
        beat = await executor.work.record_work_heartbeat(
            pb.RecordWorkHeartbeatRequest(work_request_id=work.work_request_id, attempt=1, claim_id=claim_id)
        )
        assert beat.lease_seconds >= 28
        with pytest.raises(Fenced) as fenced:
            await executor.work.release_work(
                pb.ReleaseWorkRequest(work_request_id=work.work_request_id, attempt=1, claim_id=key())
            )
        assert fenced.value.reason == "FENCED"
        assert not (await executor.work.record_work_outcome(success(claimed))).idempotent_replay
        assert (await executor.work.record_work_outcome(success(claimed))).idempotent_replay
        with pytest.raises(PermissionDenied):
            await process.work.poll_work(pb.PollWorkRequest(queues=[topics.QUEUE_VERIFY], claim_id=key()))
        with pytest.raises(PermissionDenied):
            await executor.work.request_work(verify(run))


async def test_a_refusal_keeps_its_reason_on_the_wire(world: World, address: str) -> None:
    run = await world.open_run()
    await world.succeed(await world.run(await world.requested(code(run)), "author"), commit_sha="b" * 40)
    work = await world.requested(verify(run))
    async with Clients(address, "author") as author:
        claim_id = key()
        started = await author.work.record_work_started(
            pb.RecordWorkStartedRequest(work_request_id=work.work_request_id, claim_id=claim_id, runner="laptop")
        )
        assert started.work is not None
        assert world.sql("SELECT runner FROM ameide.attempt WHERE principal_id = 'author' AND ended_at IS NULL") == [
            {"runner": "laptop"}
        ]
        with pytest.raises(Refused) as refused:
            await author.work.record_work_outcome(
                success(Claimed(started.work, started.attempt, claim_id, CALLERS["author"]))
            )
        assert refused.value.reason == "SELF_GRADING"
        assert refused.value.remedy


async def test_nothing_is_claimed_for_a_caller_who_hung_up(world: World, address: str) -> None:
    run = await world.open_run()
    body = f'{{"queues":["{topics.QUEUE_VERIFY}"],"claimId":"{key()}","waitSeconds":15}}'
    headers = {"content-type": "application/json", "authorization": "Bearer verifier"}
    async with httpx.AsyncClient(trust_env=False) as client:
        poll = asyncio.create_task(
            client.post(f"{address}{SERVICE}/PollWork", content=body, headers=headers, timeout=60)
        )
        async with asyncio.timeout(60):
            while not world.sql("SELECT 1 FROM ameide.queue_served"):
                await asyncio.wait([poll], timeout=0.02)
        poll.cancel()
        await asyncio.wait([poll])
    work = await world.requested(verify(run))
    await world.relayed()
    answer = await world.poll(topics.QUEUE_VERIFY, key(), wait=5)
    assert answer.work is not None
    assert answer.work.work_request_id == work.work_request_id
