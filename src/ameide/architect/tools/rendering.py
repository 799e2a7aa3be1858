"""Records and answers as a model reads them: short, each record with its key, what anybody may have written fenced."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import replace

from protobuf.wkt import Timestamp

from ameide.architect.records import Record, beginning, lines_record
from ameide.architect.tools.tool import ToolAnswer
from ameide_core_proto.common.v1.metadata_pb import Actor

MOST_TEXT, MOST_ANSWER = 6_000, 24_000
"""Characters of one record's text, and of all that one call answers."""
_LABEL = 200
_OPENED = re.compile(r"\[(?=\[)")
_NO_CHARACTER = "\N{REPLACEMENT CHARACTER}"


def bounded(answer: ToolAnswer) -> ToolAnswer:
    """The answer within its limits. Records and lines that find no room are not read, so that they cannot be cited."""
    kept: list[Record] = []
    room, cut = MOST_ANSWER, 0
    for record in answer.records:
        if (short := _short(record)) is None:
            continue
        room -= len(short.text) + len(short.label) + len(short.key) + 16
        if room < 0 and kept:
            break
        kept.append(short)
        cut += short.key != record.key
    notes = list(answer.notes)
    if cut:
        notes.insert(0, f"of {cut} of these records only the first lines had room; read_file reads on after them")
    if left := len(answer.records) - len(kept):
        notes.insert(0, f"{left} more records had no room; ask for fewer at once, or for one of them")
    return replace(answer, records=tuple(kept), uncited=clipped(answer.uncited, MOST_ANSWER), notes=tuple(notes))


def _short(record: Record) -> Record | None:
    """The record within its limits, lines of a file whole or not at all; None when not even the first has room."""
    if record.lines is None:
        text = clipped(record.text, MOST_TEXT)
    elif (shown := beginning(record.lines, MOST_TEXT)) is None:
        return None
    else:
        record = lines_record(shown)
        text = record.text
    return replace(record, label=clipped(one_line(record.label), _LABEL), text=text)


def for_model(answer: ToolAnswer) -> str:
    """The answer as text. Every record stands between marks that whoever wrote a part of it could not know."""
    if answer.error:
        return f"error: {answer.error}"
    mark = secrets.token_hex(8)
    parts = [_fenced(record, mark) for record in answer.records]
    if answer.uncited:
        parts.append(f"<untrusted {mark}>\n{answer.uncited}\n</untrusted {mark}>")
    parts += [f"not found: {what}" for what in answer.not_found]
    parts += [f"note: {note}" for note in answer.notes]
    if not parts:
        parts = ["nothing there"]
    if answer.log_position:
        parts.append(f"read at log position {answer.log_position}")
    return "\n\n".join(parts)


def _fenced(record: Record, mark: str) -> str:
    kind = "untrusted" if record.untrusted else "record"
    body = "\n".join(filter(None, (record.label, record.text)))
    return f"<{kind} {mark}> [[{record.key}]]\n{body}\n</{kind} {mark}>"


def clipped(text: str, most: int) -> str:
    """The beginning of a text, and how much was left out."""
    return text if len(text) <= most else f"{text[:most]}… [{len(text) - most} more characters]"


def one_line(text: str) -> str:
    """A text on one line, with control characters shown as what they are."""
    return "".join(each if each.isprintable() else " " if each.isspace() else _NO_CHARACTER for each in text)


def inert(text: str) -> str:
    """Somebody else's words on one line, of which none is a citation in an answer that they stand in."""
    return _OPENED.sub("[ ", text)


def facts(*pairs: tuple[str, object]) -> str:
    """Names and values on one line; what is empty or 0 is left out."""
    return "; ".join(f"{name} {one_line(str(value))}" for name, value in pairs if value)


def listed(items: Iterable[str], most: int = 20) -> str:
    """Items with commas between them, and how many more there are."""
    names = list(items)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def moment(stamp: Timestamp | None) -> str:
    """A time in UTC to the second; empty when unset."""
    return stamp.to_datetime().strftime("%Y-%m-%dT%H:%M:%SZ") if stamp is not None else ""


def who(actor: Actor | None) -> str:
    """Who acted, and for whom."""
    if actor is None:
        return ""
    return f"{actor.principal_id} for {actor.on_behalf_of}" if actor.on_behalf_of else actor.principal_id


def word(name: str) -> str:
    """An enum's name as people write it."""
    return name.lower()
