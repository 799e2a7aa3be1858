"""Which paths an agent may write. Rules come from the policy in force, never from the repository.

A pattern is a path from the repository's root: ``*`` and ``?`` stay within one name, ``**`` crosses folders, a
pattern that matches a folder covers all below it, and one without a slash matches that name in every folder. Denied
wins over allowed; no allowed pattern at all allows everything. Denied patterns ignore case, since some file systems
do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from posixpath import dirname, normpath

from ameide.infra.git import Git, PathChange
from ameide_core_proto.transformation.work.v1.work_pb import (
    CheckoutRules,
    Finding,
    FindingClass,
    PathRules,
    WhereToFix,
    WorkRequest,
)

SYMLINK, SUBMODULE = "120000", "160000"


def matches(pattern: str, path: str, *, ignore_case: bool = False) -> bool:
    """Whether the pattern covers the path."""
    return (
        _compiled(pattern.casefold() if ignore_case else pattern).match(path.casefold() if ignore_case else path)
        is not None
    )


@dataclass(frozen=True)
class Limits:
    """All that holds for the paths of a work. `within` is the folder outside of which nothing may change, or empty."""

    rules: PathRules
    within: str = ""
    submodules: bool = False

    @classmethod
    def of(cls, work: WorkRequest, *, rules: PathRules | None = None) -> Limits:
        """Those of a work, with other path rules than its own if given."""
        checkout = work.checkout or CheckoutRules()
        within = "" if checkout.paths_outside_workdir else work.workdir.strip("/")
        return cls(rules or work.path_rules or PathRules(), within, checkout.coder_may_change_submodules)


async def violations(git: Git, head: str, changes: Iterable[PathChange], limits: Limits) -> list[Finding]:
    """A finding for every changed path that the limits do not admit; empty when they admit all."""
    findings: list[Finding] = []
    for change in changes:
        if why := _refused(change.path, limits) or await _strange(git, head, change, limits):
            findings.append(_finding(change, why))
    return findings


def _refused(path: str, limits: Limits) -> str:
    rules = limits.rules
    if limits.within and not path.startswith(f"{limits.within}/"):
        return f"it lies outside of the component's folder {limits.within}"
    for pattern in rules.denied:
        if matches(pattern, path, ignore_case=True):
            return f"the policy denies {pattern}"
    if rules.allowed and not any(matches(pattern, path) for pattern in rules.allowed):
        return "no allowed pattern of the policy covers it"
    return ""


async def _strange(git: Git, head: str, change: PathChange, limits: Limits) -> str:
    if SUBMODULE in (change.mode, change.old_mode):
        return "" if limits.submodules else "a coder may not add, move or remove a submodule"
    if change.mode != SYMLINK:
        return ""
    target = (await git.show(head, change.path) or b"").decode("utf-8", "surrogateescape")
    reached = normpath(f"{dirname(change.path)}/{target}" if dirname(change.path) else target)
    if target.startswith("/") or reached == ".." or reached.startswith("../"):
        return f"it is a link that leaves the repository ({target})"
    refused = _refused(reached, limits)
    return f"it is a link to {reached}, and {refused}" if refused else ""


def _finding(change: PathChange, why: str) -> Finding:
    verb = {"A": "added", "D": "deleted"}.get(change.status, "changed")
    return Finding(
        class_=FindingClass.POLICY_VIOLATION,
        id=f"path:{change.path}"[:512],
        what_failed=f"{change.path} was {verb}: {why}"[:2000],
        why_it_matters="An agent may not change what decides about its own work.",
        where_to_fix=WhereToFix.IMPLEMENTATION,
        fix_steps=[f"Leave {change.path} as it is at the base commit.", "Or have the policy's owner allow the path."],
        location=change.path[:512],
    )


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    body = pattern.strip("/")
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", body)
    words = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    expression = "".join(words.get(part, re.escape(part)) for part in parts)
    anywhere = "" if "/" in pattern.rstrip("/") else "(?:.*/)?"
    return re.compile(f"{anywhere}{expression}(?:/.*)?\\Z", re.DOTALL)
