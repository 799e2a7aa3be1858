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

READ_OPTIONS = tuple("--unified=3" if option == "--unified=0" else option for option in DIFF_OPTIONS)
"""The same diff with context, for people; `patch_hash` gives the hash that it would have without."""

_HUNK = re.compile(rb"^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")


def diff_hash(diff: bytes) -> str:
    """SHA-256 (hex) of a diff made with `DIFF_OPTIONS`, in its canonical form."""
    canonical = hashlib.sha256()
    for line in _canonical(diff):
        canonical.update(b"%d:" % len(line))
        canonical.update(line)
    return canonical.hexdigest()


def patch_hash(patch: bytes) -> str:
    """`diff_hash` of the diff that a patch with context (`READ_OPTIONS`) was made from."""
    return diff_hash(b"".join(line + b"\n" for line in _without_context(patch)))


def _without_context(patch: bytes) -> Iterator[bytes]:
    """Each group of changed lines as a hunk of its own; where it lies does not count."""
    old, new = 0, 0
    group: list[bytes] = []
    for line in _lines(patch):
        if old > 0 or new > 0 or line.startswith(b"\\"):
            mark = line[:1]
            old, new = old - (mark in b" -"), new - (mark in b" +")
            if mark in b"+-" or (mark == b"\\" and group):
                group.append(line)
                continue
            yield from _hunk(group)
            group = []
            continue
        yield from _hunk(group)
        group = []
        if match := _HUNK.match(line):
            old, new = (int(count) if count is not None else 1 for count in match.groups())
        else:
            yield line
    yield from _hunk(group)


def _hunk(group: list[bytes]) -> Iterator[bytes]:
    if group:
        removed, added = (sum(line.startswith(mark) for line in group) for mark in (b"-", b"+"))
        yield b"@@ -1,%d +1,%d @@" % (removed, added)
        yield from group


def _lines(diff: bytes) -> list[bytes]:
    lines = diff.split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    return lines


def _canonical(diff: bytes) -> Iterator[bytes]:
    lines = _lines(diff)
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
