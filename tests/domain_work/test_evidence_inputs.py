"""What evidence may name, and what an executor reads through the door: what came there, and its work's inputs."""

import asyncio
from collections.abc import MutableMapping
from dataclasses import replace
from typing import Any

import pytest

from ameide.domain import evidence_door
from ameide.domain.commands.uploads import Pair, Uploads
from ameide.domain.decisions.upload import Bounds
from ameide.domain.evidence_door import EvidenceDoor
from ameide.errors import Conflict, Fenced, InvalidArgument, NotFound, Unreachable
from ameide.infra.claim import Claim
from ameide.infra.clock import now
from ameide.infra.gateway_store import GatewayStore
from ameide.infra.lease import Lease
from ameide.infra.object_store import ObjectStore
from ameide.rpc.clients import Clients
from ameide.rpc.interceptors import Caller
from ameide_core_proto.transformation.work.v1 import command_service_pb as pb
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, EvidenceArtifact, WorkInputs
from tests.domain_work.door import CALLERS, LIMIT, claimed, opened, outcome, path_of, send, told
from tests.domain_work.world import World, success, verify


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
