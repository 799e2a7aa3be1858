"""Takes secrets out of text before it is shown, hashed or stored.

Two nets: the secret values that this executor knows, which are found wherever they appear and in the encodings that
programs print them in, and what credentials look like (`ameide.secret_shapes`), which replaces the value and leaves
the words around it readable.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from html import escape
from urllib.parse import quote, quote_plus

from ameide.secret_shapes import MASK, masked

__all__ = ["MASK", "Redactor"]

_SHORTEST, _SHORTEST_ENCODED, _SHORTEST_LINE = 6, 8, 16


class Redactor:
    """Replaces the `secrets` it knows, and what looks like one, by ``[redacted]``.

    A secret of fewer than 6 characters is not looked for: it would be found everywhere. Of one that has several lines,
    each longer line is a secret of its own, since logs are read line by line.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: set[str] = set()
        self._known: list[str] = []
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Know these as well from now on."""
        values = {secret for secret in secrets if len(secret) >= _SHORTEST}
        lines = {line for value in values for line in _lines(value)}
        self._forms |= {form for value in values | lines for form in _forms(value)}
        # The longest first: a short form may be a part of another one.
        self._known = sorted(self._forms, key=lambda form: (-len(form), form))

    def text(self, text: str) -> str:
        """`text` without secrets; the same input always gives the same output."""
        return masked(self.known_masked(text))

    def known_masked(self, text: str) -> str:
        """`text` without the secrets that are known by value."""
        for form in self._known:
            if form in text:
                text = text.replace(form, MASK)
        return text

    def knows(self, text: str) -> bool:
        """Whether a secret that is known by value stands in the text, plain or encoded."""
        return any(form in text for form in self._known)

    def presentable(self, text: str, limit: int) -> str:
        """`text` without secrets as every reader takes it: valid Unicode, no NUL, at most `limit` characters."""
        return self.text(text).encode("utf-8", "replace").decode().replace("\0", "")[:limit]

    def data(self, data: bytes) -> bytes:
        """Text in UTF-8 without secrets; bytes that aren't UTF-8 survive unchanged around them."""
        return self.text(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def _lines(value: str) -> Iterator[str]:
    for line in value.splitlines():
        # The frame of a key is no secret.
        if len(line.strip()) >= _SHORTEST_LINE and not line.startswith("-----"):
            yield line.strip()


def _forms(value: str) -> Iterator[str]:
    """The value, and how it looks in a URL, in JSON, in XML and HTML, in hexadecimal and in base64."""
    yield value
    data = value.encode("utf-8", "surrogateescape")
    encoded = {
        quote(data, safe=""),
        quote(data),
        quote_plus(data),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        escape(value),
        escape(value, quote=False),
        data.hex(),
        data.hex().upper(),
        *_base64(data),
    }
    yield from (form for form in encoded if len(form) >= _SHORTEST_ENCODED)


def _base64(data: bytes) -> Iterator[str]:
    """What stands in base64 wherever in a longer text the value begins: only what depends on no neighbour."""
    for before, unsure in ((0, 0), (1, 2), (2, 3)):
        whole = base64.b64encode(b"\0" * before + data).decode()
        sure = whole[unsure : (before + len(data)) * 8 // 6]
        yield sure
        yield sure.replace("+", "-").replace("/", "_")
