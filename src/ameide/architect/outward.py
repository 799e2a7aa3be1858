"""What leaves the agent beside its text, without secrets: what a tool read, and the records that an answer cites.

Lines of a file keep their number, so that what stands in a line still stands in it. What is compared with the bytes at
a commit is compared before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ameide.architect.records import Record
from ameide.architect.tools.tool import ToolAnswer
from ameide.secret_shapes import MASK
from ameide_core_proto.agent.transformation.v1.architect_service_pb import CitedRecord, FileLines

Redact = Callable[[str], str]


def answer_without_secrets(answer: ToolAnswer, redact: Redact) -> ToolAnswer:
    """What a tool read. Keys stay, since records are cited by them."""
    return replace(
        answer,
        records=tuple(_record(record, redact) for record in answer.records),
        uncited=redact(answer.uncited),
        notes=tuple(map(redact, answer.notes)),
        not_found=tuple(map(redact, answer.not_found)),
        error=redact(answer.error),
    )


def cited_without_secrets(cited: CitedRecord, redact: Redact) -> CitedRecord:
    """A record that an answer cites."""
    return CitedRecord(
        number=cited.number,
        citation=cited.citation,
        label=redact(cited.label),
        lines=_file_lines(cited.lines, redact) if cited.lines is not None else None,
    )


def line_by_line(text: str, redact: Redact) -> str:
    """The text without secrets, line for line. One of several lines is masked in each, with what lies between two."""
    told, lines = redact(text).split("\n"), text.split("\n")
    if len(told) == len(lines):
        return "\n".join(told)
    alone = [redact(line) for line in lines]
    most = min(len(told), len(lines))
    before = next((n for n in range(most) if told[n] != alone[n]), most)
    after = next((n for n in range(most - before) if told[-1 - n] != alone[-1 - n]), most - before)
    masks = [MASK] * (len(lines) - before - after)
    return "\n".join([*told[:before], *masks, *told[len(told) - after :]])


def _record(record: Record, redact: Redact) -> Record:
    lines = _file_lines(record.lines, redact) if record.lines is not None else None
    text = lines.text if lines is not None else redact(record.text)
    return replace(record, label=redact(record.label), text=text, lines=lines)


def _file_lines(lines: FileLines, redact: Redact) -> FileLines:
    return FileLines(
        repository_id=lines.repository_id,
        commit_sha=lines.commit_sha,
        path=lines.path,
        first_line=lines.first_line,
        last_line=lines.last_line,
        text=line_by_line(lines.text, redact),
    )
