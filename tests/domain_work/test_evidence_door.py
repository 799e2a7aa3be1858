"""Evidence through the gateway, from executors that may be hostile: what is taken, and what is not."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from ameide.domain import evidence_door
from ameide.domain.commands.uploads import Pair, Uploads
from ameide.domain.decisions.upload import Bounds, Upload
from ameide.errors import Fenced, InvalidArgument, NotFound
from ameide.infra.object_store import ObjectStore
from ameide.rpc.clients import Clients
from ameide_core_proto.transformation.work.v1.work_pb import EvidenceArtifact
from tests.domain_work.door import CALLERS, LIMIT, claimed, opened, outcome, path_of, send, stored, told
from tests.domain_work.world import World, key


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
