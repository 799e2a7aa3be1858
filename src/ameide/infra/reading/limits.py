"""What reading a repository may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReadingLimits:
    """Times are in seconds, sizes in bytes.

    A branch is looked up in `look_seconds`, and looked up anew after `head_seconds`. `mirror_bytes` bounds one
    repository, `all_bytes` all that are kept together. A file above `file_bytes` is neither read nor searched. An
    answer has at most `lines` lines, each of at most `line_bytes`, `paths` paths and `hits` lines that hold what was
    searched for.
    """

    fetch_seconds: float = 240.0
    look_seconds: float = 30.0
    command_seconds: float = 30.0
    head_seconds: float = 5.0
    mirror_bytes: int = 2 << 30
    all_bytes: int = 8 << 30
    memory_bytes: int = 1 << 30
    output_bytes: int = 64 << 20
    file_bytes: int = 2 << 20
    answer_bytes: int = 48 << 10
    line_bytes: int = 4 << 10
    lines: int = 400
    paths: int = 500
    hits: int = 40
    around: int = 2
