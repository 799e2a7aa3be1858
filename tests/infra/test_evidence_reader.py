"""Evidence is read as it was hashed, or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ameide.errors import LimitReached, NotFound, Refused
from ameide.infra.evidence_reader import StoredEvidence
from ameide.infra.object_store import ObjectStore
from ameide_core_proto.transformation.work.v1.work_pb import EvidenceArtifact

DATA = b"line\n" * 5_000_000


def artifact(data: bytes, uri: str = "store:work/default/wrk-1/1-c/log.txt") -> EvidenceArtifact:
    """As the Domain knows it."""
    return EvidenceArtifact(name="log.txt", uri=uri, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))


async def test_the_beginning_of_what_was_hashed(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path.as_uri())
    known = artifact(DATA)
    await store.put_if_absent(known.uri, DATA)
    reader = StoredEvidence(store)
    assert await reader.read(known, 7) == b"line\nli"
    assert await reader.read(known, len(DATA) + 1) == DATA


async def test_other_bytes_are_refused_before_any_is_read(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path.as_uri())
    known = artifact(b"what was recorded")
    await store.put_if_absent(known.uri, b"what lies there..")
    with pytest.raises(Refused, match="not the bytes that were recorded"):
        await StoredEvidence(store).read(known, 4)


async def test_what_is_gone_or_too_large_is_said(tmp_path: Path) -> None:
    reader = StoredEvidence(ObjectStore(tmp_path.as_uri()))
    with pytest.raises(NotFound):
        await reader.read(artifact(b"x"), 4)
    large = artifact(b"x")
    large.bytes = 1 << 40
    with pytest.raises(LimitReached, match="ameide evidence get"):
        await reader.read(large, 4)
