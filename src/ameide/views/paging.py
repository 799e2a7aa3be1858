"""Opaque page tokens: a list goes on behind the last row that was shown."""

from __future__ import annotations

import base64
import binascii

from ameide.errors import InvalidArgument
from ameide_core_proto.common.v1.reading_pb import Page

DEFAULT_SIZE = 50
FIRST = (1 << 63) - 1


def size_of(page: Page | None) -> int:
    """How many rows the caller wants; 50 when it does not say."""
    return page.size if page and page.size else DEFAULT_SIZE


def encode(*values: int) -> str:
    """The token for these numbers."""
    return base64.urlsafe_b64encode(",".join(str(value) for value in values).encode()).decode().rstrip("=")


def decode(page: Page | None, count: int) -> tuple[int, ...] | None:
    """The numbers of the caller's token; None for the first page. Raises InvalidArgument for a token not of ours."""
    if page is None or not page.token:
        return None
    try:
        text = base64.urlsafe_b64decode(page.token + "=" * (-len(page.token) % 4)).decode("ascii")
        values = tuple(int(part) for part in text.split(","))
    except (binascii.Error, UnicodeDecodeError, ValueError):
        values = ()
    if len(values) != count or any(abs(value) > FIRST for value in values):
        raise InvalidArgument(
            "is no token of this list",
            field="page.token",
            remedy="Pass next_page_token of the page before, or leave it out",
        )
    return values


def before(page: Page | None) -> int:
    """The position before which a newest-first list goes on."""
    values = decode(page, 1)
    return values[0] if values else FIRST
