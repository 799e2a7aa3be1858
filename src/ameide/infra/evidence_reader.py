"""The bytes of evidence as they were hashed, for who reads what an executor left behind."""

from __future__ import annotations

import hashlib

from ameide.errors import LimitReached, Refused
from ameide.infra.object_store import ObjectStore
from ameide_core_proto.transformation.work.v1.work_pb import EvidenceArtifact

_MOST = 64 << 20
"""Bytes that are looked through to see whether they are those that were hashed."""


class StoredEvidence:
    """An `EvidenceReader` over the object store; see `ameide.architect.ports`."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    async def read(self, artifact: EvidenceArtifact, limit: int) -> bytes:
        """At most `limit` bytes from the beginning. Nothing of it is given before all of it was hashed.

        Raises `NotFound`, `LimitReached` for one that is too large to be hashed here, `Refused` for other bytes than
        those that the Domain knows, `Unreachable` when the store does not answer.
        """
        if artifact.bytes > _MOST:
            raise LimitReached(
                f"{artifact.name} has {artifact.bytes} bytes, at most {_MOST} are read",
                remedy="`ameide evidence get` fetches it",
            )
        digest, kept, size = hashlib.sha256(), bytearray(), 0
        async for chunk in self._objects.chunks(artifact.uri):
            size += len(chunk)
            if size > _MOST:
                raise _damaged(artifact)
            digest.update(chunk)
            kept += chunk[: max(0, limit - len(kept))]
        if digest.hexdigest() != artifact.sha256:
            raise _damaged(artifact)
        return bytes(kept)


def _damaged(artifact: EvidenceArtifact) -> Refused:
    return Refused(
        f"{artifact.name} is not the bytes that were recorded",
        remedy="`ameide evidence verify` tells which evidence is whole",
        reason="EVIDENCE_DAMAGED",
    )
