"""Secrets that a change would put into the repository: in a file's name, or in a line that it adds.

One that the executor knows by value is refused before anything is pushed. What only looks like one may be a fixture or
an example, so that a person decides about it at the acceptance gate.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ameide.infra.diff_hash import DIFF_OPTIONS
from ameide.infra.git import Git
from ameide.infra.redaction import Redactor
from ameide.secret_shapes import certain, random_strings
from ameide_core_proto.transformation.work.v1.work_pb import Finding, FindingClass, WhereToFix

_MOST = 20
_HUNK = re.compile(rb"^@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


@dataclass(frozen=True)
class Added:
    """An added line, its number from 1; number 0 is the name of the file itself."""

    path: str
    number: int
    text: str


async def known(git: Git, base: str, head: str, redactor: Redactor) -> list[Finding]:
    """A finding for every place where the change from `base` to `head` holds a secret of this executor."""

    def held(text: str) -> str:
        return "a secret that this executor holds" if redactor.knows(text) else ""

    diff = await _diff(git, base, head)
    # Most changes hold none, which one look at the whole tells. It also sees what reaches over several lines.
    text = _text(diff)
    found = _findings(diff, held) if redactor.knows(text) else []
    if not found and redactor.knows("\n".join(line.text for line in added(diff))):
        found = [_finding(Added("", 0, ""), "a secret that this executor holds, over several lines")]
    return found


async def likely(git: Git, base: str, head: str) -> list[Finding]:
    """A finding for every place where the change holds what looks like a credential, 20 at most."""

    def looks(text: str) -> str:
        for found in (certain(text), random_strings(text)):
            if (first := next(found, None)) is not None:
                return first.kind
        return ""

    return _findings(await _diff(git, base, head), looks)


def added(diff: bytes) -> Iterator[Added]:
    """The added lines of a diff without context, and the names of the files that it touches."""
    path, number, removed, left = "", 0, 0, 0
    for line in diff.split(b"\n"):
        if removed and line.startswith(b"-"):
            removed -= 1
        elif left and line.startswith(b"+"):
            yield Added(path, number, _text(line[1:]))
            number, left = number + 1, left - 1
        elif match := _HUNK.match(line):
            removed, left = (1 if count is None else int(count) for count in match.group(1, 3))
            number = int(match[2])
        elif line.startswith(b"diff --git ") and not left and not removed:
            path = _path(line)
            yield Added(path, 0, path)


async def _diff(git: Git, base: str, head: str) -> bytes:
    return (await git.git("diff", *DIFF_OPTIONS, base, head)).stdout


def _path(line: bytes) -> str:
    """Of ``diff --git a/PATH b/PATH``: without renames both are the same, so that it has a middle."""
    names = line.removeprefix(b"diff --git ")
    half = names[: (len(names) - 1) // 2]
    return _text(half.strip(b'"').removeprefix(b"a/"))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _findings(diff: bytes, judge: Callable[[str], str]) -> list[Finding]:
    found: list[Finding] = []
    for line in added(diff):
        if kind := judge(line.text):
            found.append(_finding(line, kind))
            if len(found) == _MOST:
                break
    return found


def _finding(line: Added, kind: str) -> Finding:
    place = f"line {line.number} of {line.path}" if line.number else f"the name {line.path}" if line.path else "it"
    return Finding(
        class_=FindingClass.POLICY_VIOLATION,
        id=f"secret:{line.path[:500]}:{line.number}",
        what_failed=f"The change holds {kind}: {place}."[:2000],
        why_it_matters="Whoever can read the repository could use it, now and in its history.",
        where_to_fix=WhereToFix.IMPLEMENTATION,
        fix_steps=[
            "Take it out, and read it from the environment or a secret file where it is needed.",
            "If it is a real credential, exchange it.",
        ],
        location=line.path[:512],
    )
