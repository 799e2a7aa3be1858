"""Evidence through the gateway, from executors that may be hostile: what is taken, and what is not."""

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from ameide.contracts import topics
from ameide.domain import evidence_door
from ameide.domain.commands.uploads import Pair, Uploads
from ameide.domain.commands.work import WorkCommands
from ameide.domain.decisions.upload import Bounds, Upload
from ameide.domain.evidence_door import EvidenceDoor
from ameide.domain.server import Server
from ameide.errors import Conflict, Fenced, InvalidArgument, NotFound, Unauthenticated, Unreachable
from ameide.infra.claim import Claim
from ameide.infra.clock import now
from ameide.infra.gateway_store import GatewayStore
from ameide.infra.lease import Lease
from ameide.infra.object_store import ObjectStore
from ameide.rpc.clients import Clients
from ameide.rpc.interceptors import Caller, Door
from ameide.rpc.probes import Probes
from ameide_core_proto.transformation.work.v1 import command_service_pb as pb
from ameide_core_proto.transformation.work.v1.command_service_connect import WorkCommandServiceASGIApplication
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, EvidenceArtifact, WorkInputs
from tests.domain_work.world import Claimed, World, caller, key, success, verify

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


async def test_a_file_with_nothing_in_it_is_taken(world: World, address: str, tmp_path: Path):
    held = await claimed(world)
    async with Clients(address, "verifier") as clients:
        said = EvidenceArtifact.from_json(await clients.put_evidence(path_of(held) + "work.log", b""))
    assert (said.bytes, said.sha256) == (0, hashlib.sha256(b"").hexdigest())
    assert len(stored(tmp_path)) == 1


async def test_what_was_put_is_an_artifact_of_the_outcome(
    world: World, address: str, objects: ObjectStore, tmp_path: Path
) -> None:
    held = await claimed(world)
    place = await opened(address, held)
    assert (place.max_bytes, place.max_total_bytes, place.max_artifacts) == (LIMIT, 2 * LIMIT, 3)
    response = await send("PUT", f"{address}{place.path}verify.log", b"green\n", **{"content-type": "text/plain"})
    assert response.status_code == 200
    artifact = EvidenceArtifact.from_json(response.text)
    assert artifact.uri == f"{place.uri_prefix}verify.log"
    assert artifact.sha256 == hashlib.sha256(b"green\n").hexdigest()
    assert (artifact.bytes, artifact.media_type) == (6, "text/plain")
    assert await objects.get(artifact.uri) == b"green\n"
    # An answer may be lost: the same again is the same.
    assert (await send("PUT", f"{address}{place.path}verify.log", b"green\n")).json()["sha256"] == artifact.sha256
    assert not (await world.outcome(held, outcome(held, artifact))).idempotent_replay
    assert (await world.outcome(held, outcome(held, artifact))).idempotent_replay
    assert len(stored(tmp_path)) == 1


async def test_other_bytes_under_a_name_are_refused(world: World, address: str, objects: ObjectStore) -> None:
    held = await claimed(world)
    place = await opened(address, held)
    url = f"{address}{place.path}log"
    assert (await send("PUT", url, b"first")).status_code == 200
    for other in (b"other", b"another"):
        assert told(await send("PUT", url, other)) == (409, "already_exists", "NAME_TAKEN")
    assert await objects.get(f"{place.uri_prefix}log") == b"first"


async def test_the_domain_may_die_between_the_object_and_its_hash(
    world: World, address: str, objects: ObjectStore
) -> None:
    held = await claimed(world)
    place = await opened(address, held)
    await objects.put_if_absent(f"{place.uri_prefix}log", b"first")
    assert told(await send("PUT", f"{address}{place.path}log", b"other")) == (409, "already_exists", "NAME_TAKEN")
    response = await send("PUT", f"{address}{place.path}log", b"first")
    await world.outcome(held, outcome(held, EvidenceArtifact.from_json(response.text)))


async def test_only_the_current_claim_puts(world: World, address: str, tmp_path: Path) -> None:
    held = await claimed(world)
    id, attempt, claim_id = held.work.work_request_id, held.attempt, held.claim_id
    wrong = {
        "another's claim": (path_of(held), "other"),
        "another claim_id": (f"/evidence/{id}/{attempt}/{key()}/", "verifier"),
        "another attempt": (f"/evidence/{id}/{attempt + 1}/{claim_id}/", "verifier"),
    }
    for what, (path, token) in wrong.items():
        assert told(await send("PUT", f"{address}{path}log", b"x", token)) == (409, "aborted", "FENCED"), what
    assert told(await send("PUT", f"{address}{path_of(held)}log", b"x", "stranger"))[:2] == (404, "not_found")
    assert told(await send("PUT", f"{address}{path_of(held)}log", b"x", "viewer"))[:2] == (403, "permission_denied")
    assert told(await send("PUT", f"{address}{path_of(held)}log", b"x", "nobody"))[:2] == (401, "unauthenticated")
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.put(f"{address}{path_of(held)}log", content=b"x")).status_code == 401
    with pytest.raises(Fenced):
        await opened(address, held, "other")
    with pytest.raises(NotFound):
        await opened(address, held, "stranger")
    assert stored(tmp_path) == []
    assert world.sql("SELECT 1 FROM ameide.upload") == []


@pytest.mark.parametrize("ends", ["outcome", "release", "sweep"])
async def test_nothing_is_put_once_the_claim_has_ended(world: World, address: str, tmp_path: Path, ends: str) -> None:
    held = await claimed(world)
    match ends:
        case "outcome":
            await world.outcome(held, outcome(held))
        case "release":
            await world.release(held)
        case _:
            world.expire_lease(held.work.work_request_id)
            await world.sweeper.sweep()
    assert told(await send("PUT", f"{address}{path_of(held)}log", b"late")) == (409, "aborted", "FENCED")
    assert stored(tmp_path) == []


@pytest.mark.parametrize(
    ("tail", "code"),
    [
        ("", "invalid_argument"),
        ("..", "invalid_argument"),
        (".hidden", "invalid_argument"),
        ("%2e%2e", "invalid_argument"),
        ("..%2Flog", "not_found"),
        ("%2e%2e/%2e%2e/log", "not_found"),
        ("a/b", "not_found"),
        ("a%00b", "invalid_argument"),
        ("a%0ab", "invalid_argument"),
        ("x" * 129, "invalid_argument"),
    ],
)
async def test_no_name_leaves_the_place_of_the_attempt(
    world: World, address: str, tmp_path: Path, tail: str, code: str
) -> None:
    held = await claimed(world)
    host = address.removeprefix("http://").split(":")
    # As it stands: a client would tidy the path up.
    reader, writer = await asyncio.open_connection(host[0], int(host[1]))
    writer.write(
        f"PUT {path_of(held)}{tail} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer verifier\r\n"
        "content-length: 1\r\nconnection: close\r\n\r\nx".encode()
    )
    answer = (await reader.read()).decode()
    writer.close()
    assert f'"code": "{code}"' in answer
    assert stored(tmp_path) == []


async def test_an_attempt_stays_within_its_bounds(world: World, address: str, tmp_path: Path) -> None:
    held = await claimed(world)
    url = f"{address}{path_of(held)}"
    assert told(await send("PUT", f"{url}a", b"x" * (LIMIT + 1))) == (400, "invalid_argument", "TOO_LARGE")
    assert (await send("PUT", f"{url}a", b"x" * LIMIT)).status_code == 200
    assert (await send("PUT", f"{url}b", b"x" * (LIMIT - 1))).status_code == 200
    assert told(await send("PUT", f"{url}c", b"xx")) == (400, "invalid_argument", "TOO_LARGE")
    assert (await send("PUT", f"{url}c", b"x")).status_code == 200
    assert told(await send("PUT", f"{url}d", b"")) == (400, "invalid_argument", "TOO_MANY")
    assert len(stored(tmp_path)) == 3


async def test_a_smaller_upload_frees_no_room_of_the_one_on_its_way(world: World, address: str) -> None:
    held = await claimed(world)
    uploads, pair = (
        Uploads(world.service, Bounds(LIMIT, LIMIT, 3)),
        Pair(held.work.work_request_id, held.attempt, held.claim_id),
    )
    await uploads.begin(CALLERS["verifier"], pair, "a", LIMIT)
    await uploads.begin(CALLERS["verifier"], pair, "a", 1)
    with pytest.raises(InvalidArgument, match="more than"):
        await uploads.begin(CALLERS["verifier"], pair, "b", LIMIT - 1)
    await uploads.finish(CALLERS["verifier"], pair, Upload("a", 1, "hash"))
    await uploads.begin(CALLERS["verifier"], pair, "b", LIMIT - 1)


async def test_uploads_at_once_share_the_bounds(world: World, address: str, tmp_path: Path) -> None:
    held = await claimed(world)
    sent = [send("PUT", f"{address}{path_of(held)}{name}", b"x" * 900) for name in ("a", "b", "c", "d")]
    statuses = sorted(response.status_code for response in await asyncio.gather(*sent))
    assert statuses == [200, 200, 400, 400]
    assert len(stored(tmp_path)) == 2


async def test_a_body_is_as_long_as_it_says(
    world: World, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence_door, "SILENT_SECONDS", 0.2)
    held = await claimed(world)

    async def chunks() -> AsyncIterator[bytes]:
        yield b"x"

    async with httpx.AsyncClient(trust_env=False) as client:
        headers = {"authorization": "Bearer verifier"}
        response = await client.put(f"{address}{path_of(held)}log", content=chunks(), headers=headers)
        assert told(response)[:2] == (400, "invalid_argument")
        assert response.json()["field"] == "content-length"
    host = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host[0], int(host[1]))
    writer.write(
        f"PUT {path_of(held)}log HTTP/1.1\r\nhost: x\r\nauthorization: Bearer verifier\r\n"
        "content-length: 100\r\n\r\nonly".encode()
    )
    # Who stands still is not waited for.
    assert b'"code": "unavailable"' in await reader.read(65536)
    writer.close()
    reader, writer = await asyncio.open_connection(host[0], int(host[1]))
    writer.write(
        f"PUT {path_of(held)}log HTTP/1.1\r\nhost: x\r\nauthorization: Bearer verifier\r\n"
        "content-length: 100\r\n\r\ncut".encode()
    )
    writer.close()
    assert stored(tmp_path) == []
    # What was cut off may come again, also with another size.
    assert (await send("PUT", f"{address}{path_of(held)}log", b"whole")).status_code == 200


async def test_evidence_names_what_was_put_and_nothing_else(world: World, address: str) -> None:
    held = await claimed(world)
    place = await opened(address, held)
    artifact = EvidenceArtifact.from_json((await send("PUT", f"{address}{place.path}log", b"green")).text)

    def with_(**changes: object) -> EvidenceArtifact:
        changed = EvidenceArtifact.from_binary(artifact.to_binary())
        for name, value in changes.items():
            setattr(changed, name, value)
        return changed

    for wrong, field in (
        (with_(uri=f"{place.uri_prefix}other"), "evidence.artifacts[1].uri"),
        (with_(uri=f"{place.uri_prefix}../log"), "evidence.artifacts[1].uri"),
        (with_(uri="store:work/default/wrk-other/1-x/log"), "evidence.artifacts[1].uri"),
        (with_(sha256="0" * 64), "evidence.artifacts[1].sha256"),
        (with_(bytes=4), "evidence.artifacts[1].sha256"),
    ):
        with pytest.raises(InvalidArgument) as refused:
            await world.outcome(held, outcome(held, artifact, wrong))
        assert refused.value.field == field
    await world.outcome(held, outcome(held, artifact))
    with pytest.raises(Conflict):
        await world.outcome(
            held,
            pb.RecordWorkOutcomeRequest(
                work_request_id=held.work.work_request_id,
                attempt=held.attempt,
                claim_id=held.claim_id,
                outcome=pb.WorkOutcome.CANCELED,
                result=outcome(held).result,
                evidence=outcome(held).evidence,
            ),
        )


async def test_an_upload_that_was_begun_is_no_evidence(world: World, address: str) -> None:
    held = await claimed(world)
    place = await opened(address, held)
    uploads = Uploads(world.service, Bounds(LIMIT, LIMIT))
    pair = Pair(held.work.work_request_id, held.attempt, held.claim_id)
    await uploads.begin(CALLERS["verifier"], pair, "log", 5)
    artifact = EvidenceArtifact(name="log", uri=f"{place.uri_prefix}log", sha256="0" * 64, bytes=5)
    with pytest.raises(InvalidArgument, match="nothing was uploaded"):
        await world.outcome(held, outcome(held, artifact))


async def test_a_token_for_outside_names_no_object_that_was_not_uploaded(world: World, address: str) -> None:
    held = replace(await claimed(world), executor=CALLERS["outside"])
    with pytest.raises(InvalidArgument, match="nothing was uploaded"):
        await world.outcome(held, success(held))
    await world.outcome(held, outcome(held))


async def test_inputs_are_read_by_their_works_claim_alone(world: World, address: str, objects: ObjectStore) -> None:
    build = "store:work/default/wrk-build/1-claim/image.tar"
    foreign = "store:work/acme/wrk-build/1-claim/image.tar"
    for uri in (build, foreign):
        await objects.put_if_absent(uri, b"layers")
    held = await claimed(world, reading(build))
    url = f"{address}{path_of(held)}"
    response = await send("GET", f"{url}?uri={build}")
    assert (response.status_code, response.content) == (200, b"layers")
    for other in (foreign, f"{build}x", "store:work/default/../acme/image.tar", "file:///etc/passwd", ""):
        assert told(await send("GET", f"{url}?uri={other}"))[:2] == (404, "not_found"), other
    assert told(await send("GET", f"{url}?uri={build}", token="other")) == (409, "aborted", "FENCED")
    assert told(await send("GET", f"{url}?uri={build}", token="stranger"))[:2] == (404, "not_found")
    assert told(await send("DELETE", f"{url}image.tar"))[:2] == (400, "invalid_argument")
    await world.release(held)
    assert told(await send("GET", f"{url}?uri={build}")) == (409, "aborted", "FENCED")


async def test_of_the_inputs_one_at_a_time_is_held_in_memory(
    world: World, address: str, objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    build, data = "store:work/default/wrk-build/1-claim/image.tar", bytes(range(256)) * 5000
    held, reads, most = await claimed(world, reading(build)), 0, 0

    async def get(uri: str) -> bytes:
        nonlocal reads, most
        reads, most = reads + 1, max(most, reads + 1)
        for _ in range(100):
            # The others come meanwhile.
            await asyncio.sleep(0)
        reads -= 1
        return data

    monkeypatch.setattr(objects, "get", get)
    answers = await asyncio.gather(*(send("GET", f"{address}{path_of(held)}?uri={build}") for _ in range(3)))
    assert [answer.content == data for answer in answers] == [True] * 3
    assert most == 1


async def test_who_takes_an_input_too_slowly_is_cut_off(
    world: World, objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence_door, "SECONDS", 0.5)
    build = "store:work/default/wrk-build/1-claim/image.tar"
    await objects.put_if_absent(build, b"layers")
    held, sent = await claimed(world, reading(build)), list[str]()

    async def authenticate(_token: str) -> Caller:
        return CALLERS["verifier"]

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request"}

    async def tell(message: MutableMapping[str, Any]) -> None:
        sent.append(message["type"])
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    door = EvidenceDoor(authenticate, Uploads(world.service, Bounds(LIMIT, LIMIT)), objects)
    headers = [(b"authorization", b"Bearer verifier")]
    query = f"uri={build}".encode()
    await door({"method": "GET", "path": path_of(held), "query_string": query, "headers": headers}, receive, tell)
    assert sent == ["http.response.start", "http.response.body"]


@pytest.mark.parametrize(
    "uri", ["store:work/acme/wrk-build/1-claim/image.tar", "store:work/default/../acme/wrk-build/1-claim/image.tar"]
)
async def test_what_a_hostile_build_named_is_not_read(
    world: World, address: str, objects: ObjectStore, uri: str
) -> None:
    await objects.put_if_absent("store:work/acme/wrk-build/1-claim/image.tar", b"another tenant's")
    held = await claimed(world, reading(uri))
    assert told(await send("GET", f"{address}{path_of(held)}?uri={uri}"))[:2] == (404, "not_found")


async def test_a_build_from_outside_names_what_it_uploaded(world: World, address: str, objects: ObjectStore) -> None:
    other = "store:work/acme/wrk-build/1-claim/image.tar"
    await objects.put_if_absent(other, b"another tenant's")
    command = verify()
    command.action_kind = ActionKind.BUILD
    await world.register()
    held = replace(await world.run(await world.requested(command)), executor=CALLERS["outside"])
    artifact = EvidenceArtifact.from_json(
        (await send("PUT", f"{address}{path_of(held)}image.tar", b"layers", "outside")).text
    )
    said = outcome(held, artifact)
    assert said.result is not None
    assert said.result.outputs is not None
    said.result.outputs.build_uri = other
    with pytest.raises(InvalidArgument, match="not uploaded by this attempt") as refused:
        await world.outcome(held, said)
    assert refused.value.field == "result.outputs.build_uri"
    said.result.outputs.build_uri = artifact.uri
    await world.outcome(held, said)


async def test_an_executor_without_a_store_puts_and_gets_through_the_door(
    world: World, address: str, objects: ObjectStore
) -> None:
    build = "store:work/default/wrk-build/1-claim/image.tar"
    await objects.put_if_absent(build, b"layers")
    held = await claimed(world, reading(build))
    async with Clients(address, "verifier") as clients:
        store = GatewayStore(Claim(clients, held.work, held.attempt, held.claim_id, Lease(now(), 30)))
        place = f"store:work/default/{held.work.work_request_id}/{held.attempt}-{held.claim_id}"
        assert await store.get(build) == b"layers"
        with pytest.raises(NotFound):
            await store.get("store:work/acme/wrk-build/1-claim/image.tar")
        for _ in range(2):
            await store.put_if_absent(f"{place}/log", b"green")
        assert await objects.get(f"{place}/log") == b"green"
        with pytest.raises(Conflict):
            await store.put_if_absent(f"{place}/log", b"other")
        with pytest.raises(InvalidArgument, match="takes 1000"):
            await store.put_if_absent(f"{place}/large", b"x" * (LIMIT + 1))
        with pytest.raises(InvalidArgument, match="no artifact of this attempt"):
            await store.put_if_absent("store:work/default/wrk-other/1-claim/log", b"x")
        await world.release(held)
        with pytest.raises(Fenced):
            await store.put_if_absent(f"{place}/late", b"x")
    async with Clients("http://127.0.0.1:9", "verifier") as clients:
        with pytest.raises(Unreachable):
            await clients.put_evidence("/evidence/x", b"x")


def reading(build_uri: str) -> pb.RequestWorkRequest:
    """A request of a work that reads what a build left."""
    command = verify()
    command.inputs = WorkInputs(component="orders", build_uri=build_uri, build_digest="sha256:" + "0" * 64)
    return command
