"""The object store and the evidence in it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ameide.errors import Conflict, InvalidArgument, NotFound, Unreachable
from ameide.infra.evidence import EvidenceWriter, verify_bundle
from ameide.infra.object_store import ObjectStore
from ameide.infra.redaction import Redactor
from ameide_core_proto.common.v1.metadata_pb import Scope
from ameide_core_proto.transformation.work.v1.work_pb import CheckResult, CheckStatus, WorkRequest

WORK = WorkRequest(scope=Scope(tenant_id="acme"), work_request_id="wrk-1")


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore((tmp_path / "objects with space").as_uri())


@pytest.fixture
def writer() -> EvidenceWriter:
    return EvidenceWriter(WORK, 2, "c1a1m", Redactor(["topsecret"]))


async def test_objects_are_written_once(store: ObjectStore) -> None:
    await store.put_if_absent("store:work/a/b", b"one")
    await store.put_if_absent("store:work/a/b", b"one")
    with pytest.raises(Conflict, match="store:work/a/b"):
        await store.put_if_absent("store:work/a/b", b"two")
    assert await store.get("store:work/a/b") == b"one"


async def test_a_missing_object_is_named(store: ObjectStore) -> None:
    with pytest.raises(NotFound, match="store:work/none"):
        await store.get("store:work/none")


@pytest.mark.parametrize("uri", ["work/a", "store:", "store:/etc/passwd", "store:work/../../x", "file:///etc/passwd"])
async def test_a_uri_cannot_leave_the_store(store: ObjectStore, uri: str) -> None:
    with pytest.raises(InvalidArgument):
        await store.get(uri)


@pytest.mark.parametrize("location", ["", "ftp://x/y", "s3://", "/plain/folder"])
def test_another_kind_of_store_is_refused_with_the_setting(location: str) -> None:
    with pytest.raises(InvalidArgument, match="AMEIDE_OBJECT_STORE"):
        ObjectStore(location)


async def test_an_s3_store_that_does_not_answer_is_unreachable() -> None:
    options = {
        "aws_endpoint_url": "http://127.0.0.1:9",
        "aws_allow_http": "true",
        "aws_access_key_id": "a",
        "aws_secret_access_key": "b",
        "aws_region": "x",
    }
    store = ObjectStore("s3://bucket/prefix", options, retries=0)
    with pytest.raises(Unreachable, match="s3://bucket/prefix"):
        await store.put_if_absent("store:work/a", b"one")
    with pytest.raises(Unreachable):
        await store.get("store:work/a")


async def test_text_is_redacted_before_it_is_hashed(store: ObjectStore, writer: EvidenceWriter) -> None:
    text = writer.add_text("log.txt", "a topsecret b")
    binary = writer.add_bytes("image.tar", b"a topsecret b", "application/x-tar")
    assert text.uri == "store:work/acme/wrk-1/2-c1a1m/log.txt"
    assert text.sha256 == hashlib.sha256(b"a [redacted] b").hexdigest()
    assert binary.sha256 == hashlib.sha256(b"a topsecret b").hexdigest()
    await writer.store(store, lambda: None)
    assert await store.get(text.uri) == b"a [redacted] b"
    assert await verify_bundle(writer.bundle("done"), store) == []


async def test_what_is_missing_is_named(store: ObjectStore, writer: EvidenceWriter) -> None:
    artifact = writer.add_text("log.txt", "text")
    assert await verify_bundle(writer.bundle("done"), store) == [f"{artifact.uri}: the object is missing"]


def test_the_bundle_tells_what_ran_without_secrets(writer: EvidenceWriter) -> None:
    writer.describe("pytest", "9", ["pytest", "--token=topsecret"], 1)
    writer.add_check(CheckResult(id="t::a", status=CheckStatus.FAILED, message="\0topsecret \udcff" + "x" * 3000))
    bundle = writer.bundle("topsecret failed")
    assert bundle.argv == ["pytest", "--token=[redacted]"]
    assert bundle.summary == "[redacted] failed"
    assert bundle.check_results[0].message.startswith("[redacted] ?xxx")
    assert len(bundle.check_results[0].message) == 2000
    assert bundle.attempt == 2
    bundle.to_binary()


def test_a_long_text_keeps_its_ends(writer: EvidenceWriter) -> None:
    artifact = writer.add_bytes("log.txt", b"start" + b"." * (5 << 20) + b"end", "text/plain")
    assert artifact.bytes < 4 << 20 | 64


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 129])
def test_a_name_that_is_no_artifact_is_refused(writer: EvidenceWriter, name: str) -> None:
    with pytest.raises(ValueError, match="names no artifact"):
        writer.add_text(name, "text")
