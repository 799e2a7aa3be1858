"""Checks what an answer cites against what the conversation has read, and numbers it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ameide.architect.agent import Lines, Said
from ameide.architect.records import Ledger, file_key, file_of
from ameide.errors import AmeideError
from ameide_core_proto.agent.transformation.v1.architect_service_pb import CitedRecord, FileLines, Notice, NoticeKind
from ameide_core_proto.common.v1.reading_pb import Citation, CitationKind

KINDS = "|".join(kind.name.lower() for kind in CitationKind if kind is not CitationKind.UNSPECIFIED)
_SHOWN = 160


@dataclass(frozen=True, slots=True)
class Cited:
    """A citation that holds: its mark in the text, and the lines when it is of a file."""

    mark: str
    lines: FileLines | None = None


@dataclass(slots=True)
class Citing:
    """The citations of one answer. `said` collects what is to be told before the text that they stand in.

    `numbers` are those of the turn by key; a number that is in it has been told before.
    """

    ledger: Ledger
    numbers: dict[str, int]
    lines: Lines
    said: list[Said] = field(default_factory=list[Said])
    held: int = 0
    _read: dict[str, FileLines] = field(default_factory=dict[str, FileLines])
    _noticed: set[str] = field(default_factory=set[str])

    async def cite(self, key: str) -> Cited | None:
        """A record by its key; None, with a notice, when this conversation never read it or it cannot be read now."""
        if key.startswith("file_lines:"):
            return await self._file(key)
        if (known := self.ledger.known.get(key)) is None:
            return self._removed(f"{_short(key)} was cited, but this conversation has not read it")
        label, position = known
        kind, _, ref = key.partition(":")
        citation = Citation(kind=CitationKind[kind.upper()], ref=ref, log_position=position)
        return Cited(self._numbered(key, CitedRecord(citation=citation, label=label)))

    async def _file(self, key: str) -> Cited | None:
        if (named := file_of(key.removeprefix("file_lines:"))) is None:
            return self._removed(f"{_short(key)} names no lines of a file at a commit")
        place = f"{named.repository_id}@{named.commit_sha}:{named.path}"
        first, last = named.first_line, named.last_line
        if not _covered(self.ledger.files.get(place, []), first, last):
            return self._removed(f"{_short(key)} was cited, but this conversation has not read these lines")
        # However the model spells it, one place has one number.
        key = file_key(named)
        if key not in self._read:
            try:
                # What is shown are the bytes at that commit, whatever the model makes of them.
                self._read[key] = await self.lines(named.repository_id, named.commit_sha, named.path, first, last)
            except AmeideError as error:
                return self._removed(f"{_short(key)} cannot be read ({error.message})")
        lines = self._read[key]
        citation = Citation(kind=CitationKind.FILE_LINES, ref=key.partition(":")[2])
        label = f"{named.path} lines {first} to {last} at {named.commit_sha[:12]}"
        return Cited(self._numbered(key, CitedRecord(citation=citation, label=label, lines=lines)), lines)

    def _numbered(self, key: str, record: CitedRecord) -> str:
        self.held += 1
        if key not in self.numbers:
            self.numbers[key] = record.number = max(self.numbers.values(), default=0) + 1
            self.said.append(record)
        return f"[{self.numbers[key]}]"

    def _removed(self, why: str) -> None:
        self.notice(NoticeKind.CITATION_REMOVED, f"A citation was taken out: {why}.")

    def notice(self, kind: NoticeKind, text: str) -> None:
        """Tell the person; the same words once."""
        if text not in self._noticed:
            self._noticed.add(text)
            self.said.append(Notice(kind=kind, text=text))


def _covered(spans: list[tuple[int, int]], first: int, last: int) -> bool:
    """Whether these lines were read, in one piece or in several that join."""
    if first < 1 or last < first:
        return False
    wanted = first
    for begin, end in sorted(spans):
        if begin <= wanted <= end:
            wanted = end + 1
    return wanted > last


def _short(key: str) -> str:
    return key if len(key) <= _SHOWN else f"{key[:_SHOWN]}…"
