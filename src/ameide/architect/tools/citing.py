"""From what a query cites to the keys by which a model cites it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ameide.architect.records import Record, key_of
from ameide.architect.tools.tool import ToolAnswer, ToolContext
from ameide_core_proto.common.v1.reading_pb import Citation, CitationKind, Page, ReadContext

ROWS = 20
"""Of a list, at once."""


@dataclass(slots=True)
class Cited:
    """The records of one query's answer as they are made."""

    context: ReadContext | None
    citations: Sequence[Citation]
    records: list[Record] = field(default_factory=list[Record])
    notes: list[str] = field(default_factory=list[str])

    def fact(self, subject: str, label: str, text: str, *, untrusted: str = "") -> None:
        """The newest state of an aggregate, as kind:id, by the fact that told it. Without one it cannot be cited."""
        for citation in self.citations:
            if citation.subject == subject and citation.ref:
                self.add(citation.kind, citation.ref, label, text, citation.log_position, untrusted)
                return
        self.notes.append(f"no fact of {subject} was cited by the query; ask for it by its id")

    def position_of(self, subject: str) -> int:
        """Where the newest fact of an aggregate stands; 0 when it is not cited."""
        return next((one.log_position for one in self.citations if one.subject == subject), 0)

    def add(self, kind: CitationKind, ref: str, label: str, text: str, position: int = 0, untrusted: str = "") -> None:
        """A record that was read."""
        self.records.append(Record(key_of(kind, ref), label, text, position or self.position, None, untrusted))

    @property
    def position(self) -> int:
        """Of the log, as far as the query had read."""
        return self.context.log_position if self.context else 0

    def answer(self, next_page: str = "", *, empty: str = "") -> ToolAnswer:
        """All of it. `empty` says what was not found when there is no record."""
        if next_page:
            self.notes.append(f'there is more: call again with page "{next_page}"')
        not_found = (empty,) if empty and not self.records and not self.notes else ()
        return ToolAnswer(tuple(self.records), notes=tuple(self.notes), not_found=not_found, log_position=self.position)


def page(token: str, rows: int = ROWS) -> Page:
    """A page of a list."""
    return Page(size=rows, token=token)


def change_of(ctx: ToolContext, given: str) -> str:
    """The change that was named, else the one that the conversation is about."""
    return given or ctx.change_id
