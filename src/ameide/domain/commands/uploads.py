"""Evidence through the gateway: for executors that hold a token and no credential of the object store."""

from __future__ import annotations

from dataclasses import dataclass

from ameide.domain.commands import claims, work_rows
from ameide.domain.decisions import upload, work_claim
from ameide.domain.decisions.upload import Bounds, Upload
from ameide.domain.service import Service
from ameide.domain.unit import Unit
from ameide.rpc.interceptors import Caller
from ameide.storage import sql
from ameide_core_proto.transformation.work.v1.command_service_pb import (
    OpenEvidenceUploadRequest,
    OpenEvidenceUploadResponse,
)
from ameide_core_proto.transformation.work.v1.work_pb import WorkRequest

PATH = "/evidence/"
_SQL = sql.load("work")


@dataclass(frozen=True, slots=True)
class Pair:
    """The claim that a caller says it holds."""

    work_request_id: str
    attempt: int
    claim_id: str

    @property
    def path(self) -> str:
        """Where its evidence is put, at the door."""
        return f"{PATH}{self.work_request_id}/{self.attempt}/{self.claim_id}/"


async def open_evidence_upload(
    unit: Unit, command: OpenEvidenceUploadRequest, bounds: Bounds
) -> OpenEvidenceUploadResponse:
    """Where the current claim puts its evidence. Its outcome names nothing else from now on. Raises Fenced."""
    pair = Pair(command.work_request_id, command.attempt, command.claim_id)
    work = await _claimed(unit, pair)
    unit.tx.later(_SQL["by_gateway"], (unit.tenant_id, pair.work_request_id, pair.attempt))
    return OpenEvidenceUploadResponse(
        path=pair.path,
        uri_prefix=upload.folder_of(work, pair.attempt, pair.claim_id),
        max_bytes=bounds.max_bytes,
        max_total_bytes=bounds.max_total_bytes,
        max_artifacts=bounds.max_artifacts,
    )


class Uploads:
    """The steps of an upload and of a download that ask the Domain; the bytes are `evidence_door`'s."""

    def __init__(self, service: Service, bounds: Bounds) -> None:
        self._service, self._bounds = service, bounds

    async def begin(self, caller: Caller, pair: Pair, name: str, size: int) -> tuple[str, str]:
        """Hold room for an artifact of `size` bytes; its uri, and the hash that is stored there already, if any.

        Raises Fenced for another pair than the current claim, InvalidArgument past a bound, Conflict.
        """
        upload.need_name(name)
        new = Upload(name, size, "")

        async def handler(unit: Unit) -> tuple[str, str]:
            work = await _claimed(unit, pair)
            known = await work_rows.uploads_of(unit, pair.work_request_id, pair.attempt)
            upload.need_room(known, new, self._bounds)
            unit.tx.later(
                _SQL["begin_upload"], (unit.tenant_id, pair.work_request_id, pair.attempt, new.name, new.bytes)
            )
            unit.tx.later(_SQL["by_gateway"], (unit.tenant_id, pair.work_request_id, pair.attempt))
            stored = next((found.sha256 for found in known if found.name == name), "")
            return upload.folder_of(work, pair.attempt, pair.claim_id) + name, stored

        return await self._service.perform(caller, "BeginUpload", None, handler)

    async def finish(self, caller: Caller, pair: Pair, stored: Upload) -> None:
        """The object is stored: evidence may name it. Raises Fenced when the claim was lost meanwhile."""

        async def handler(unit: Unit) -> None:
            await _claimed(unit, pair)
            place = (unit.tenant_id, pair.work_request_id, pair.attempt, stored.name)
            unit.tx.later(_SQL["finish_upload"], (stored.bytes, stored.sha256, *place))

        await self._service.perform(caller, "FinishUpload", None, handler)

    async def admit(self, caller: Caller, pair: Pair, uri: str) -> None:
        """Raises Fenced unless the claim is current, NotFound unless its work may read the object."""

        async def handler(unit: Unit) -> None:
            upload.need_input(await _claimed(unit, pair), uri)

        await self._service.perform(caller, "ReadInput", None, handler)


async def _claimed(unit: Unit, pair: Pair) -> WorkRequest:
    unit.caller.need(claims.EXECUTOR)
    found = await work_rows.lock_with_claims(unit, [(pair.work_request_id, pair.attempt)])
    if pair.work_request_id not in found:
        raise work_rows.unknown(pair.work_request_id)
    work, claim = found[pair.work_request_id]
    work_claim.need_current(work, claim, pair.attempt, pair.claim_id, unit.caller.principal_id)
    return work
