"""The identity of a patch: a hash that stays the same when the same patch sits on another base.

Positions of hunks, context and object ids depend on the base and are left out; paths, modes and every removed and
added line count.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

DIFF_OPTIONS = (
    "--no-renames",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--no-indent-heuristic",
    "--diff-algorithm=myers",
    "--ignore-submodules=none",
    "--submodule=short",
    "--src-prefix=a/",
    "--dst-prefix=b/",
    "--text",
    "--unified=0",
    "--inter-hunk-context=0",
    "--full-index",
)
"""What `git diff` is called with. ``--text`` gives binary files line by line too, whatever attributes say."""

_HUNK = re.compile(rb"^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")


def diff_hash(diff: bytes) -> str:
    """SHA-256 (hex) of a diff made with `DIFF_OPTIONS`, in its canonical form."""
    canonical = hashlib.sha256()
    for line in _canonical(diff):
        canonical.update(b"%d:" % len(line))
        canonical.update(line)
    return canonical.hexdigest()


def _canonical(diff: bytes) -> Iterator[bytes]:
    lines = diff.split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    content = 0
    for line in lines:
        if content or line.startswith(b"\\"):
            # "\ No newline at end of file" belongs to the line before it and is counted by no hunk header.
            content -= not line.startswith(b"\\")
            yield b"L" + line
        elif match := _HUNK.match(line):
            content = sum(int(count) if count is not None else 1 for count in match.groups())
            yield b"@"
        elif not line.startswith(b"index "):
            yield b"H" + line
