"""The object store as one claim sees it through the Domain's door: for executors that hold a token and nothing else."""

from __future__ import annotations

import hashlib

from ameide.errors import Conflict, InvalidArgument
from ameide.infra.claim import Claim
from ameide_core_proto.transformation.work.v1.command_service_pb import (
    OpenEvidenceUploadRequest,
    OpenEvidenceUploadResponse,
)
from ameide_core_proto.transformation.work.v1.work_pb import EvidenceArtifact


class GatewayStore:
    """Puts the evidence of `claim` and gets the inputs of its work. Nothing is opened before something is asked for."""

    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        self._opened: OpenEvidenceUploadResponse | None = None

    async def put_if_absent(self, uri: str, data: bytes) -> None:
        """Put an artifact of the attempt. Raises Conflict for other bytes, Fenced, InvalidArgument past a bound."""
        place = await self._open()
        name = uri.removeprefix(place.uri_prefix)
        if not uri.startswith(place.uri_prefix):
            raise InvalidArgument(f"{uri} is no artifact of this attempt", field="uri", remedy="The door puts no other")
        if len(data) > place.max_bytes:
            raise InvalidArgument(
                f"{name} has {len(data)} bytes, the Domain takes {place.max_bytes}",
                field="uri",
                remedy="Have AMEIDE_UPLOAD_MEGABYTES of the Domain raised, or print less",
            )
        answer = EvidenceArtifact.from_json(await self._claim.clients.put_evidence(place.path + name, data))
        if answer.sha256 != hashlib.sha256(data).hexdigest():
            raise Conflict(f"{uri} arrived with other bytes", remedy="Look what lies between here and the Domain")

    async def get(self, uri: str) -> bytes:
        """An input of the work. Raises NotFound for whatever else, Fenced."""
        return await self._claim.clients.get_evidence((await self._open()).path, uri)

    async def _open(self) -> OpenEvidenceUploadResponse:
        if self._opened is None:
            claim = self._claim
            self._opened = await claim.clients.work.open_evidence_upload(
                OpenEvidenceUploadRequest(
                    scope=claim.work.scope,
                    work_request_id=claim.work.work_request_id,
                    attempt=claim.attempt,
                    claim_id=claim.claim_id,
                )
            )
        return self._opened
