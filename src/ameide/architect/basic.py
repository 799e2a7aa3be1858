"""Speech that is checked when it is whole."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ameide.architect.agent import Lines, Said, Speech
from ameide.architect.records import Ledger
from ameide_core_proto.agent.transformation.v1.architect_service_pb import CitedRecord, Notice, NoticeKind
from ameide_core_proto.common.v1.reading_pb import Citation, CitationKind

_CITED = re.compile(r"\[\[([^\[\]\n]{1,600})\]\]")


def begin(ledger: Ledger, numbers: dict[str, int], lines: Lines) -> Speech:
    """A speech that cites what the ledger knows, by numbers."""
    del lines
    return _Whole(ledger, numbers)


class _Whole:
    def __init__(self, ledger: Ledger, numbers: dict[str, int]) -> None:
        self._ledger = ledger
        self._numbers = numbers
        self._text = ""

    async def hear(self, text: str) -> Sequence[Said]:
        self._text += text
        return ()

    async def end(self) -> Sequence[Said]:
        cited: list[Said] = []

        def numbered(match: re.Match[str]) -> str:
            key = match[1]
            if key not in self._ledger.known:
                cited.append(Notice(kind=NoticeKind.CITATION_REMOVED, text=f"{key} was never read here"))
                return ""
            if key not in self._numbers:
                self._numbers[key] = len(self._numbers) + 1
                label, position = self._ledger.known[key]
                kind, _, ref = key.partition(":")
                citation = Citation(kind=CitationKind[kind.upper()], ref=ref, log_position=position)
                cited.append(CitedRecord(number=self._numbers[key], citation=citation, label=label))
            return f"[{self._numbers[key]}]"

        text = _CITED.sub(numbered, self._text)
        return [*cited, text]
