"""Findings in the words of the one who has to act on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ameide_core_proto.transformation.work.v1.work_pb import Finding, FindingClass, WhereToFix


def finding(
    kind: FindingClass,
    id: str,
    what_failed: str,
    *,
    why: str = "",
    where: WhereToFix = WhereToFix.IMPLEMENTATION,
    steps: Sequence[str] = (),
    location: str = "",
) -> Finding:
    """A finding, cut to the bounds of its schema."""
    return Finding(
        class_=kind,
        id=id[:512],
        what_failed=what_failed[:2000],
        why_it_matters=why[:2000],
        where_to_fix=where,
        fix_steps=[step[:2000] for step in steps[:10]],
        location=location[:512],
    )


def blocked(findings: Iterable[Finding]) -> list[Finding]:
    """The same findings as a state of the repository that was there before the change."""
    return [
        Finding(
            class_=FindingClass.BLOCKED_BY_REPO_HEALTH,
            id=found.id,
            what_failed=found.what_failed,
            why_it_matters="The base commit is already red, so a change on it cannot be told green.",
            where_to_fix=found.where_to_fix,
            fix_steps=["Repair the default branch first, then start a new run.", *found.fix_steps[:9]],
            location=found.location,
        )
        for found in findings
    ]
