"""The door for evidence, served for a test: its address, its store, and what executors say there."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import uvicorn

from ameide.contracts import topics
from ameide.domain.commands.uploads import Uploads
from ameide.domain.commands.work import WorkCommands
from ameide.domain.decisions.upload import Bounds
from ameide.domain.evidence_door import EvidenceDoor
from ameide.domain.server import Server
from ameide.errors import Unauthenticated
from ameide.infra.object_store import ObjectStore
from ameide.rpc.clients import Clients
from ameide.rpc.interceptors import Caller, Door
from ameide.rpc.probes import Probes
from ameide_core_proto.transformation.work.v1 import command_service_pb as pb
from ameide_core_proto.transformation.work.v1.command_service_connect import WorkCommandServiceASGIApplication
from ameide_core_proto.transformation.work.v1.work_pb import EvidenceArtifact
from tests.domain_work.world import Claimed, World, caller, success, verify

QUEUES = (topics.QUEUE_VERIFY, topics.QUEUE_PUBLISH)
CALLERS = {
    "verifier": caller("verifier", "executor", queues=QUEUES),
    "other": caller("other", "executor", queues=QUEUES),
    "stranger": caller("verifier", "executor", tenant="acme", queues=QUEUES),
    "viewer": caller("vera", "viewer"),
    "outside": replace(caller("verifier", "executor", queues=QUEUES), only_executes=True),
}
LIMIT = 1000


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    """The store behind the gateway."""
    return ObjectStore((tmp_path / "objects").as_uri())


@pytest.fixture
async def address(world: World, objects: ObjectStore) -> AsyncIterator[str]:
    """The door of a Domain that takes 1000 bytes an artifact."""

    async def authenticate(token: str) -> Caller:
        if token not in CALLERS:
            raise Unauthenticated("the token is not valid", remedy="Set AMEIDE_TOKEN")
        return CALLERS[token]

    bounds = Bounds(LIMIT, 2 * LIMIT, 3)
    commands = WorkCommands(world.service, world.wakeups, bounds=bounds)
    services = [WorkCommandServiceASGIApplication(commands, interceptors=(Door(authenticate),))]
    evidence = EvidenceDoor(authenticate, Uploads(world.service, bounds), objects)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(Server(services, Probes(), evidence), log_config=None, lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        await serving


async def claimed(world: World, command: pb.RequestWorkRequest | None = None) -> Claimed:
    """A work that the verifier runs."""
    await world.register()
    return await world.run(await world.requested(command or verify()))


async def opened(address: str, held: Claimed, token: str = "verifier") -> pb.OpenEvidenceUploadResponse:
    async with Clients(address, token) as clients:
        return await clients.work.open_evidence_upload(
            pb.OpenEvidenceUploadRequest(
                work_request_id=held.work.work_request_id, attempt=held.attempt, claim_id=held.claim_id
            )
        )


def path_of(held: Claimed) -> str:
    return f"/evidence/{held.work.work_request_id}/{held.attempt}/{held.claim_id}/"


async def send(
    method: str, url: str, data: bytes | None = None, token: str = "verifier", **headers: str
) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        authorized = {"authorization": f"Bearer {token}", **headers}
        return await client.request(method, url, content=data, headers=authorized, timeout=10)


def told(response: httpx.Response) -> tuple[int, str, str]:
    """Status, code and reason of a refusal."""
    body = response.json()
    return response.status_code, body["code"], body["reason"]


def outcome(held: Claimed, *artifacts: EvidenceArtifact) -> pb.RecordWorkOutcomeRequest:
    command = success(held)
    assert command.evidence is not None
    command.evidence.artifacts = list(artifacts)
    return command


def stored(tmp_path: Path) -> list[str]:
    folder = tmp_path / "objects"
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
