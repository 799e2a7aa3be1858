"""What a conversation has read: records by their citations, and lines of files at commits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ameide_core_proto.agent.transformation.v1.architect_service_pb import FileLines
from ameide_core_proto.common.v1.reading_pb import Citation, CitationKind

_NAMES = {
    "domain_fact": CitationKind.DOMAIN_FACT,
    "process_fact": CitationKind.PROCESS_FACT,
    "artifact_version": CitationKind.ARTIFACT_VERSION,
    "evidence_bundle": CitationKind.EVIDENCE_BUNDLE,
    "work_request": CitationKind.WORK_REQUEST,
    "file_lines": CitationKind.FILE_LINES,
}


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that a tool read. `key` is how it is cited: `kind:ref`.

    `untrusted` is where its text comes from when anybody may have written it (`UntrustedSource.ref`), else empty.
    """

    key: str
    label: str
    text: str
    log_position: int = 0
    lines: FileLines | None = None
    untrusted: str = ""

    @property
    def citation(self) -> Citation:
        """As the services cite it."""
        kind, _, ref = self.key.partition(":")
        return Citation(kind=_NAMES[kind], ref=ref, log_position=self.log_position)


def key_of(kind: CitationKind, ref: str) -> str:
    """How a record is cited: `domain_fact:…`, `artifact_version:ID@N`, `file_lines:REPOSITORY@COMMIT:PATH#L3-L7`."""
    return f"{kind.name.lower()}:{ref}"


@dataclass(slots=True)
class Ledger:
    """All that a conversation has read, as it is carried from turn to turn: labels and positions, no texts.

    Of files the lines are kept as ranges by `repository@commit:path`.
    """

    known: dict[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    files: dict[str, list[tuple[int, int]]] = field(default_factory=dict[str, list[tuple[int, int]]])
    position: int = 0

    def note(self, records: Iterable[Record]) -> None:
        """These were read."""
        for record in records:
            self.position = max(self.position, record.log_position)
            if (lines := record.lines) is not None:
                place = f"{lines.repository_id}@{lines.commit_sha}:{lines.path}"
                span = (lines.first_line, lines.last_line)
                if span not in (spans := self.files.setdefault(place, [])):
                    spans.append(span)
            else:
                self.known[record.key] = (record.label, record.log_position)
