"""What a conversation has read: records by their citations, and lines of files at commits."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote

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

_FILE = re.compile(r"([^@]+)@([0-9a-f]{40}):(.+)#L([0-9]{1,9})(?:-L?([0-9]{1,9}))?", re.DOTALL)
_ENDING = re.compile(r"[\[\]%#]")

MOST_KNOWN, MOST_FILES, MOST_SPANS = 1500, 300, 100
"""What a ledger holds at most: records, files, and ranges of lines of one file."""


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


def file_key(lines: FileLines) -> str:
    """How lines of a file are cited. What would end a citation is written as in a URL: `app/%5Bid%5D.ts`."""
    path = _ENDING.sub(lambda match: f"%{ord(match[0]):02X}", lines.path)
    return f"file_lines:{lines.repository_id}@{lines.commit_sha}:{path}#L{lines.first_line}-L{lines.last_line}"


def file_of(ref: str) -> FileLines | None:
    """Repository, commit, path and line numbers of such a citation; None for what is none. One line may be `#L7`."""
    match = _FILE.fullmatch(ref)
    if match is None:
        return None
    repository, commit, path, first, last = match.groups()
    return FileLines(
        repository_id=repository,
        commit_sha=commit,
        path=unquote(path),
        first_line=int(first),
        last_line=int(last or first),
    )


def lines_record(lines: FileLines) -> Record:
    """Lines that were read; anybody who may commit has written them."""
    place = f"{lines.repository_id}@{lines.commit_sha}:{lines.path}"
    label = f"{lines.path} lines {lines.first_line} to {lines.last_line} at {lines.commit_sha[:12]}"
    return Record(file_key(lines), label, lines.text, 0, lines, place)


def beginning(lines: FileLines, characters: int) -> FileLines | None:
    """As many whole lines from the first on as fit, line breaks counted; None when the first one alone does not."""
    kept: list[str] = []
    room = characters
    for line in lines.text.split("\n"):
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    if not kept:
        return None
    return FileLines(
        repository_id=lines.repository_id,
        commit_sha=lines.commit_sha,
        path=lines.path,
        first_line=lines.first_line,
        last_line=lines.first_line + len(kept) - 1,
        text="\n".join(kept),
    )


@dataclass(slots=True)
class Ledger:
    """All that a conversation has read, as it is carried from turn to turn: labels and positions, no texts.

    Of files the lines are kept as ranges by `repository@commit:path`, ascending and apart. It is bounded: what was read
    the longest ago is forgotten first, and must be read again to be cited.
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
                spans = [*self.files.pop(place, []), (lines.first_line, lines.last_line)]
                self.files[place] = _apart(spans)[-MOST_SPANS:]
            else:
                self.known.pop(record.key, None)
                self.known[record.key] = (record.label, record.log_position)
        for kept, most in ((self.known, MOST_KNOWN), (self.files, MOST_FILES)):
            for oldest in list(kept)[: max(0, len(kept) - most)]:
                del kept[oldest]


def _apart(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges of lines as few that neither overlap nor touch."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return joined
