"""Image references that can only name bytes: a digest, never a tag that moves (contracts 10)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from ameide.errors import InvalidArgument

_PATTERN = re.compile(
    r"(?P<repository>([a-z0-9.-]+(:[0-9]+)?/)?[a-z0-9._-]+(/[a-z0-9._-]+)*)(:(?P<commit>[0-9a-f]{40}))?@(?P<digest>sha256:[0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True)
class ImageRef:
    """`repository[:commit]@sha256:…`. There is no way to make one without a digest."""

    repository: str
    digest: str
    commit: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises InvalidArgument for anything that names no digest, or names a floating tag beside one."""
        match = _PATTERN.fullmatch(text)
        if match is None:
            raise InvalidArgument(
                f"{text!r} is not pinned by digest",
                field="image_ref",
                remedy="Write repo@sha256:<digest> or repo:<git sha>@sha256:<digest>; a floating tag is refused",
            )
        return cls(match["repository"], match["digest"], match["commit"] or "")

    def __str__(self) -> str:
        return f"{self.repository}{':' + self.commit if self.commit else ''}@{self.digest}"
