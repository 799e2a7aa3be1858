"""Evidence of an attempt.

What a step leaves behind, redacted, then hashed, then stored once under the attempt's own prefix.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from protobuf.wkt import Timestamp

from ameide.contracts.evidence import ARTIFACT_NAME, folder_of_attempt
from ameide.contracts.ids import new_id
from ameide.errors import NotFound
from ameide.events.ports import Objects
from ameide.infra.redaction import Redactor
from ameide_core_proto.transformation.work.v1.work_pb import CheckResult, EvidenceArtifact, EvidenceBundle, WorkRequest

_TEXT = (
    "text/",
    "application/json",
    "application/xml",
    "application/x-ndjson",
    "application/yaml",
    "application/x-patch",
)
_HEAD, _TAIL = 1 << 20, 3 << 20
# Read beside a cut, so that it goes through no secret before that is looked for.
_MARGIN = 16 << 10
_ARTIFACTS, _CHECKS, _ARGUMENTS = 50, 5000, 100


def is_text(media_type: str) -> bool:
    """Whether artifacts of this type are redacted."""
    return media_type.startswith(_TEXT) or media_type.endswith(("+json", "+xml"))


def _shown(text: bytes, redactor: Redactor) -> bytes:
    left_out = len(text) - _HEAD - _TAIL
    if left_out <= 0:
        return redactor.data(text)
    head, tail = redactor.data(text[: _HEAD + _MARGIN])[:_HEAD], redactor.data(text[-_TAIL - _MARGIN :])[-_TAIL:]
    return head + b"\n[%d bytes left out]\n" % left_out + tail


class EvidenceWriter:
    """Collects what a step adds. Nothing is stored before `store`, and only what the accepted outcome lists exists.

    `read` gives the bytes of a file a child may have touched; see `Workspace.read_file`.
    """

    def __init__(
        self,
        work: WorkRequest,
        attempt: int,
        claim_id: str,
        redactor: Redactor,
        read: Callable[[Path], bytes] = Path.read_bytes,
    ) -> None:
        tenant = work.scope.tenant_id if work.scope else ""
        self._prefix = folder_of_attempt(tenant or "default", work.work_request_id, attempt, claim_id)
        self._work, self._attempt, self._redactor, self._read = work, attempt, redactor, read
        self._data: dict[str, bytes] = {}
        self._artifacts: dict[str, EvidenceArtifact] = {}
        self._checks: list[CheckResult] = []
        self._tool = ("", "", list[str](), 0)
        self._started = datetime.now(UTC)
        self._id = new_id("evd")

    def add_bytes(self, name: str, data: bytes, media_type: str) -> EvidenceArtifact:
        """Add an artifact; text is redacted first, and of more than 4 MiB of it the middle is left out, which it then
        says.

        The same name again replaces it. `name` is one path segment.

        Raises `ValueError` for another name.
        """
        if not ARTIFACT_NAME.fullmatch(name):
            raise ValueError(f"{name!r} names no artifact: use letters, digits, '.', '_' and '-', at most 128 of them")
        if is_text(media_type):
            data = _shown(data, self._redactor)
        self._data[name] = data
        self._artifacts[name] = EvidenceArtifact(
            name=name,
            uri=self._prefix + name,
            sha256=hashlib.sha256(data).hexdigest(),
            bytes=len(data),
            media_type=media_type,
        )
        return self._artifacts[name]

    def add_text(self, name: str, text: str, media_type: str = "text/plain") -> EvidenceArtifact:
        """Add text, redacted."""
        return self.add_bytes(name, text.encode("utf-8", "surrogateescape"), media_type)

    def add_file(self, name: str, path: Path, media_type: str) -> EvidenceArtifact:
        """Add a file as it is now. Raises `FileNotFoundError`, and refuses links and devices in a workspace."""
        return self.add_bytes(name, self._read(path), media_type)

    def add_check(self, check: CheckResult) -> None:
        """Add the result of one check, such as a test."""
        shown = self._redactor.presentable
        self._checks.append(
            CheckResult(
                id=shown(check.id, 512) or "check",
                status=check.status,
                message=shown(check.message, 2000),
                duration_ms=check.duration_ms,
            )
        )

    def describe(self, tool_name: str, tool_version: str, argv: Sequence[str], exit_code: int = 0) -> None:
        """Name the tool that did the work, as it was called."""
        called = [self._redactor.presentable(argument, 1000) for argument in argv][:_ARGUMENTS]
        shown = self._redactor.presentable
        self._tool = (shown(tool_name, 128), shown(tool_version, 128), called, exit_code)

    async def store(self, store: Objects, guard: Callable[[], None]) -> None:
        """Store every artifact.

        `guard` raises when the claim is gone. Raises `Unreachable` and what the store refuses.
        """
        for name in self._listed:
            guard()
            await store.put_if_absent(self._artifacts[name].uri, self._data[name])

    def bundle(self, summary: str, *, stored: bool = True) -> EvidenceBundle:
        """The bundle for the outcome; with `stored` False it lists no artifacts."""
        tool_name, tool_version, argv, exit_code = self._tool
        return EvidenceBundle(
            evidence_bundle_id=self._id,
            scope=self._work.scope,
            work_request_id=self._work.work_request_id,
            attempt=self._attempt,
            tool_name=tool_name,
            tool_version=tool_version,
            argv=argv,
            workdir=self._work.workdir,
            started_at=Timestamp.from_datetime(self._started),
            ended_at=Timestamp.from_datetime(datetime.now(UTC)),
            exit_code=exit_code,
            summary=self._redactor.presentable(summary, 4096),
            check_results=self._checks[:_CHECKS],
            artifacts=[self._artifacts[name] for name in self._listed] if stored else [],
        )

    def bare_bundle(self, summary: str, *, stored: bool = False) -> EvidenceBundle:
        """A bundle that only says whose it is, for an outcome whose evidence the Domain refuses."""
        whole = self.bundle(summary, stored=stored)
        return EvidenceBundle(
            evidence_bundle_id=whole.evidence_bundle_id,
            scope=whole.scope,
            work_request_id=whole.work_request_id,
            attempt=whole.attempt,
            started_at=whole.started_at,
            ended_at=whole.ended_at,
            exit_code=whole.exit_code,
            summary=whole.summary,
            artifacts=whole.artifacts,
        )

    @property
    def _listed(self) -> list[str]:
        return list(self._artifacts)[:_ARTIFACTS]


async def verify_bundle(bundle: EvidenceBundle, store: Objects) -> list[str]:
    """Read every artifact again and hash it.

    What does not match, each line naming the object. Empty: all is as recorded.
    """
    mismatches: list[str] = []
    for artifact in bundle.artifacts:
        try:
            data = await store.get(artifact.uri)
        except NotFound:
            mismatches.append(f"{artifact.uri}: the object is missing")
            continue
        found = hashlib.sha256(data).hexdigest()
        if found != artifact.sha256:
            mismatches.append(f"{artifact.uri}: sha256 is {found}, the evidence says {artifact.sha256}")
        elif len(data) != artifact.bytes:
            mismatches.append(f"{artifact.uri}: {len(data)} bytes, the evidence says {artifact.bytes}")
    return mismatches
