"""What an attempt may store and read through the gateway, and what its evidence may then name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ameide.contracts.evidence import ARTIFACT_NAME, folder_of_attempt, folder_of_tenant
from ameide.domain.decisions.work import inputs_of
from ameide.errors import Conflict, InvalidArgument, NotFound
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, EvidenceBundle, WorkRequest

# A bundle lists 50 at most; a few may be put anew under another name.
MAX_ARTIFACTS = 64


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much an attempt may store: bytes of one artifact and of all, and their number."""

    max_bytes: int
    max_total_bytes: int
    max_artifacts: int = MAX_ARTIFACTS

    @classmethod
    def of(cls, megabytes: int) -> Bounds:
        """One artifact may have so many MB, all of an attempt twice that."""
        return cls(megabytes * 1_000_000, 2 * megabytes * 1_000_000)


FALLBACK_BOUNDS = Bounds.of(500)


@dataclass(frozen=True, slots=True)
class Upload:
    """An artifact of an attempt; `sha256` is empty until its object is stored."""

    name: str
    bytes: int
    sha256: str


def folder_of(work: WorkRequest, attempt: int, claim_id: str) -> str:
    """The uri under which the artifacts of an attempt lie, with a slash at its end (contracts 4)."""
    tenant_id = work.scope.tenant_id if work.scope else ""
    return folder_of_attempt(tenant_id, work.work_request_id, attempt, claim_id)


def need_name(name: str) -> None:
    """Raises InvalidArgument for what is no name of an artifact."""
    if not ARTIFACT_NAME.fullmatch(name):
        raise InvalidArgument(
            f"{name[:200]!r} names no artifact",
            field="name",
            remedy="Use letters, digits, '.', '_' and '-', at most 128 of them, a letter or digit first",
        )


def need_room(known: Sequence[Upload], new: Upload, bounds: Bounds) -> None:
    """Raises InvalidArgument when the attempt may not store this, Conflict when it has stored something else there."""
    for upload in known:
        if upload.name == new.name and upload.sha256 and upload.bytes != new.bytes:
            raise taken(new.name)
    others = [upload for upload in known if upload.name != new.name]
    if new.bytes > bounds.max_bytes:
        raise InvalidArgument(
            f"{new.name} has {new.bytes} bytes, at most {bounds.max_bytes} are taken",
            field="content-length",
            remedy="Leave out what nobody reads, or raise AMEIDE_UPLOAD_MEGABYTES of the Domain",
            reason="TOO_LARGE",
        )
    if new.bytes + sum(upload.bytes for upload in others) > bounds.max_total_bytes:
        raise InvalidArgument(
            f"with {new.name} the attempt has stored more than {bounds.max_total_bytes} bytes",
            field="content-length",
            remedy="Leave out what nobody reads, or raise AMEIDE_UPLOAD_MEGABYTES of the Domain",
            reason="TOO_LARGE",
        )
    if len(others) >= bounds.max_artifacts:
        raise InvalidArgument(
            f"the attempt has {len(others)} artifacts already",
            field="name",
            remedy="Put several files into one archive",
            reason="TOO_MANY",
        )


def taken(name: str) -> Conflict:
    """The answer to other bytes under a name that has an object."""
    return Conflict(
        f"{name} already holds other bytes",
        field="name",
        remedy="Evidence is never overwritten; take another name",
        reason="NAME_TAKEN",
    )


def need_uploaded(evidence: EvidenceBundle, folder: str, uploads: Sequence[Upload]) -> None:
    """Raises InvalidArgument when the evidence names what was not put, or not with these bytes, through the gateway."""
    stored = {folder + upload.name: upload for upload in uploads if upload.sha256}
    for index, artifact in enumerate(evidence.artifacts):
        upload = stored.get(artifact.uri)
        if upload is None:
            raise InvalidArgument(
                f"nothing was uploaded as {artifact.uri}",
                field=f"evidence.artifacts[{index}].uri",
                remedy="PUT it at the path that OpenEvidenceUpload answers, or leave it out",
                reason="NOT_UPLOADED",
            )
        if (artifact.sha256, artifact.bytes) != (upload.sha256, upload.bytes):
            raise InvalidArgument(
                f"what was uploaded has {upload.bytes} bytes and the SHA-256 {upload.sha256}",
                field=f"evidence.artifacts[{index}].sha256",
                remedy="Name the artifact as the answer to its upload does",
                reason="OTHER_BYTES",
            )


def need_own_build(work: WorkRequest, build_uri: str, folder: str, uploads: Sequence[Upload]) -> None:
    """Raises InvalidArgument when a build names another object than one that its attempt put through the gateway."""
    if work.action_kind != ActionKind.BUILD or not build_uri:
        return
    if build_uri not in {folder + upload.name for upload in uploads if upload.sha256}:
        raise InvalidArgument(
            f"{build_uri[:200]!r} was not uploaded by this attempt",
            field="result.outputs.build_uri",
            remedy="PUT what was built at the path that OpenEvidenceUpload answers, and name it",
            reason="NOT_UPLOADED",
        )


def need_input(work: WorkRequest, uri: str) -> None:
    """Raises NotFound unless the object is an input of the work and of its tenant."""
    own = folder_of_tenant(work.scope.tenant_id if work.scope else "")
    build = inputs_of(work).build_uri
    # The uri came from whoever built, perhaps an executor of somebody else's.
    if not uri or uri != build or not uri.startswith(own) or ".." in uri.split("/"):
        raise NotFound(f"{uri[:200]!r} is no input of this work", remedy="An executor reads what its work names")
