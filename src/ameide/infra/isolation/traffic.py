"""What the children of a work reached and tried to reach; evidence, and what people are told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ameide.infra.steps import Profile
from ameide_core_proto.transformation.work.v1.work_pb import Finding, FindingClass, WhereToFix

_MOST, _TOLD = 200, 10


@dataclass
class Contact:
    """One target of one profile. `how` is proxy, port, direct or name; `why` says why it was refused."""

    profile: Profile
    how: str
    target: str
    allowed: bool
    why: str = ""
    times: int = 0
    sent: int = 0
    received: int = 0
    first: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def said(self) -> str:
        """As a line of the log."""
        if self.allowed:
            return f"network: {self.profile.value} connects to {self.target}"
        return f"network: {self.profile.value} tried to reach {self.target} and was refused: {self.why}"


class Traffic:
    """Counts by profile, way and target; the first of each is a line of the log, and the first 200 are kept."""

    def __init__(self, log: Callable[[str], None] = lambda _line: None) -> None:
        self._log = log
        self._contacts: dict[tuple[Profile, str, str, bool], Contact] = {}
        self._left_out = 0

    def note(self, profile: Profile, how: str, target: str, *, allowed: bool, why: str = "") -> Contact:
        """Count one; the contact that takes its bytes."""
        key = (profile, how, target, allowed)
        contact = self._contacts.get(key)
        if contact is None:
            contact = Contact(profile, how, target, allowed, why)
            if len(self._contacts) < _MOST:
                self._contacts[key] = contact
                self._log(contact.said())
            else:
                self._left_out += 1
        contact.times += 1
        return contact

    def refused(self) -> Iterator[Contact]:
        """What was tried and refused."""
        return (contact for contact in self._contacts.values() if not contact.allowed)

    def findings(self) -> list[Finding]:
        """What was refused, for the people who decide; a host that no setting lets through is no secret way out."""
        return [
            Finding(
                class_=FindingClass.POLICY_VIOLATION,
                id=f"network:{one.target}"[:512],
                what_failed=f"It tried to reach {one.target}, {one.times} times, and was refused: {one.why}."[:2000],
                why_it_matters="What an agent sends away is out of everybody's hands.",
                where_to_fix=WhereToFix.IMPLEMENTATION,
                fix_steps=["Do without it, or have the operator allow the host to this executor."],
                location=one.target[:512],
            )
            for one in list(self.refused())[:_TOLD]
        ]

    def document(self) -> str:
        """All of it as JSON; empty when nothing was tried."""
        if not self._contacts:
            return ""
        rows = [
            {
                "profile": one.profile.value,
                "how": one.how,
                "target": one.target,
                "allowed": one.allowed,
                "why": one.why,
                "times": one.times,
                "sent": one.sent,
                "received": one.received,
                "first": one.first,
            }
            for one in self._contacts.values()
        ]
        return json.dumps({"connections": rows, "left_out": self._left_out}, indent=1)
