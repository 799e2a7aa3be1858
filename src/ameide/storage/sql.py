"""Named SQL. Each query lives in `queries/<file>.sql` under a line `-- name: <name>` and a sentence of why."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import LiteralString, cast

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


@cache
def load(name: str) -> dict[str, LiteralString]:
    """The queries of `queries/<name>.sql` by their names. Raises FileNotFoundError for an unknown file."""
    text = (files("ameide.storage") / "queries" / f"{name}.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)[1:]
    # Packaged text is as trustworthy as a literal in the code: it never carries values.
    return {key: cast("LiteralString", body.strip()) for key, body in zip(parts[::2], parts[1::2], strict=True)}
