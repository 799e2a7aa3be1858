"""Takes secrets out of text before it is shown, hashed or stored.

Two nets: the secret values that this executor knows, which are found wherever they appear, and the shapes that
credentials have. A shape is only a guess, so it replaces the value and leaves the words around it readable. Every
repetition in a shape is bounded: the text is hostile, and the time to read it must grow with its length alone.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from urllib.parse import quote

MASK = "[redacted]"

_SHAPES = (
    re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)", re.DOTALL),
    re.compile(r"(?<=://)[^\s/@:'\"]{0,256}+:[^\s/@'\"]{1,1024}+(?=@)"),
    re.compile(r"(?<=[Bb]earer )[A-Za-z0-9._~+/=-]{8,}|(?<=BEARER )[A-Za-z0-9._~+/=-]{8,}"),
    re.compile(r"(?<=[Bb]asic )[A-Za-z0-9+/=]{12,}"),
    re.compile(r"\bameide_[a-z0-9-]{1,63}_[A-Za-z0-9-]{1,63}_[A-Za-z0-9_-]{8,}"),
    re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    re.compile(r"\bgh[opsur]_[A-Za-z0-9]{20,}\b|\bgithub_pat_[A-Za-z0-9_]{20,}\b|\bglpat-[A-Za-z0-9_-]{16,}"),
    re.compile(r"\bsk-[A-Za-z0-9_-]{16,}"),
    re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}"),
    re.compile(r"(?<![\w-])eyJ[\w-]{8,2048}+\.[\w-]{8,4096}+\.[\w-]{8,}"),
    re.compile(r"\bpypi-[A-Za-z0-9_-]{32,}"),
)
_NAMES = r"secret|token|passw(?:or)?d|api[_-]?key|access[_-]?key|private[_-]?key|credential"
_ASSIGNMENT = re.compile(rf"""(?i)((?:{_NAMES})[\w.-]{{0,64}}["']?\s{{0,8}}[:=]\s{{0,8}}["']?)([^\s"',;]{{8,}})""")
_ENTROPY = 3.2


class Redactor:
    """Replaces the `secrets` it knows, and what looks like one, by ``[redacted]``."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        self._known: re.Pattern[str] | None = None
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Know these as well from now on."""
        self._secrets.update(secrets)
        forms = {form for secret in self._secrets if len(secret) >= 6 for form in (secret, quote(secret, safe=""))}
        self._known = (
            re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))) if forms else None
        )

    def text(self, text: str) -> str:
        """`text` without secrets; the same input always gives the same output."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        for shape in _SHAPES:
            text = shape.sub(MASK, text)
        return _ASSIGNMENT.sub(_mask_assigned, text)

    def presentable(self, text: str, limit: int) -> str:
        """`text` without secrets as every reader takes it: valid Unicode, no NUL, at most `limit` characters."""
        return self.text(text).encode("utf-8", "replace").decode().replace("\0", "")[:limit]

    def data(self, data: bytes) -> bytes:
        """Text in UTF-8 without secrets; bytes that aren't UTF-8 survive unchanged around them."""
        return self.text(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def _mask_assigned(match: re.Match[str]) -> str:
    name, value = match.groups()
    return f"{name}{MASK}" if _entropy(value) >= _ENTROPY else match.group(0)


def _entropy(value: str) -> float:
    """Bits a character. Words and code lie below 3.2, keys of some length above."""
    return -sum(count / len(value) * math.log2(count / len(value)) for count in Counter(value).values())
