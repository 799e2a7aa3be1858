"""What an archive of the log is made of: chunks of JSON lines, a manifest that lists them and names the one before it.

Any program can read it: `zcat` a chunk and each line is one message, its payload in base64. Objects are named by their
content, so that a repeated run writes the same objects and an interrupted one leaves nothing in the way of the next.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, Self, cast

from ameide.errors import Refused
from ameide.events.messages import COLUMNS, LoggedMessage

FORMAT = "ameide.log.archive/1"
# Some megabytes a chunk: small enough to hold, large enough to keep a store's requests few.
CHUNK = 5_000
# Higher levels take twice the time for a twentieth less.
_LEVEL = 6
_PLAIN = tuple(name for name in COLUMNS if name not in ("occurred_at", "payload"))


@dataclass(frozen=True, slots=True)
class Chunk:
    """One object with the messages of the positions `first` to `last`; `sha256` is of its bytes as they are stored."""

    object: str
    first: int
    last: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """One archived partition. `previous` is the SHA-256 of the manifest before it, empty for the first: a chain, so
    that the newest hash vouches for all of the archive."""

    first: int
    last: int
    previous: str
    chunks: tuple[Chunk, ...]

    @property
    def uri(self) -> str:
        """Where it lies."""
        return f"{folder_of(self.first, self.last)}/manifest-{sha256(self.to_bytes())[:16]}.json"

    def to_bytes(self) -> bytes:
        """Its JSON, the same bytes each time."""
        chunks = [asdict(chunk) for chunk in self.chunks]
        head = {"format": FORMAT, "first": self.first, "last": self.last, "messages": self.last - self.first + 1}
        return json.dumps({**head, "previous": self.previous, "chunks": chunks}, indent=1).encode() + b"\n"

    @classmethod
    def of(cls, uri: str, data: bytes, expected: str) -> Self:
        """The manifest in these bytes. Raises Refused when they don't have the expected hash or are no manifest."""
        if sha256(data) != expected:
            raise damaged(f"{uri} is not what was written: its SHA-256 is not {expected}")
        try:
            read = cast("dict[str, Any]", json.loads(data))
            if read["format"] != FORMAT:
                raise damaged(f"{uri} has the format {read['format']}, this program reads {FORMAT}")
            chunks = tuple(Chunk(**{f.name: chunk[f.name] for f in fields(Chunk)}) for chunk in read["chunks"])
            return cls(read["first"], read["last"], read["previous"], chunks)
        except (ValueError, KeyError, TypeError) as error:
            raise damaged(f"{uri} is no manifest: {error}") from error


def damaged(what: str) -> Refused:
    """The error for an archive that is not what was written."""
    return Refused(
        what,
        remedy="Put the object back from a copy of the store; `ameide archive verify` then checks all of it again",
        reason="ARCHIVE_DAMAGED",
    )


def sha256(data: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def pack(messages: Sequence[LoggedMessage]) -> bytes:
    """The bytes of a chunk. They name no time of writing: the same messages give the same bytes."""
    lines = "".join(_line(message) for message in messages)
    return gzip.compress(lines.encode(), _LEVEL, mtime=0)


def unpack(chunk: Chunk, data: bytes) -> list[LoggedMessage]:
    """The messages of a chunk. Raises Refused, naming the object and its positions, when a byte of it has changed or it
    does not hold each of its positions once."""
    where = f"{chunk.object} (positions {chunk.first} to {chunk.last})"
    if sha256(data) != chunk.sha256:
        raise damaged(f"{where} is not what was written: its SHA-256 is not {chunk.sha256}")
    try:
        messages = [_message(cast("dict[str, Any]", json.loads(line))) for line in gzip.decompress(data).splitlines()]
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, binascii.Error) as error:
        raise damaged(f"{where} holds something else than messages: {error}") from error
    if [message.position for message in messages] != list(range(chunk.first, chunk.last + 1)):
        raise damaged(f"{where} does not hold its positions one by one")
    return messages


def folder_of(first: int, last: int) -> str:
    """Where the objects of a partition lie."""
    return f"store:log/{first:015}-{last:015}"


def chunk_of(messages: Sequence[LoggedMessage], data: bytes, folder: str) -> Chunk:
    """The manifest's entry for a packed chunk."""
    first, last, digest = messages[0].position, messages[-1].position, sha256(data)
    return Chunk(f"{folder}/{first:015}-{digest[:16]}.jsonl.gz", first, last, len(data), digest)


def _line(message: LoggedMessage) -> str:
    values: dict[str, object] = {"position": message.position}
    values |= {name: getattr(message, name) for name in _PLAIN}
    values["occurred_at"] = message.occurred_at.astimezone(UTC).isoformat(timespec="microseconds")
    values["payload"] = base64.b64encode(message.payload).decode()
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")) + "\n"


def _message(values: dict[str, Any]) -> LoggedMessage:
    values["occurred_at"] = datetime.fromisoformat(values["occurred_at"])
    values["payload"] = base64.b64decode(values["payload"])
    return LoggedMessage(**values)
