"""Gates as the contract tells it: bound to a hash, decided by voices, taken back, expired, passed once."""

from __future__ import annotations

from dataclasses import dataclass, field

PASSED = ("approved", "overridden")


@dataclass(frozen=True)
class Person:
    """Who decides. `own`: they asked for the change or wrote what the gate binds."""

    name: str
    roles: frozenset[str]
    person: bool = True
    own: bool = False


PEOPLE = (
    Person("anna", frozenset({"approver"})),
    Person("bert", frozenset({"approver"})),
    Person("olga", frozenset({"approver", "operator"})),
    Person("rita", frozenset({"approver", "operator"}), own=True),
    Person("bot", frozenset({"approver"}), person=False),
    Person("vera", frozenset({"viewer"})),
)


@dataclass
class GateModel:
    """One gate. `subject` names what it binds; `facts` is its version."""

    subject: str
    quorum: int
    status: str = "open"
    time_is_over: bool = False
    voices: dict[str, str] = field(default_factory=dict[str, str])
    consumed_by: int | None = None
    facts: int = 1

    def why_not(self, by: Person, verdict: str, seen: str, comment: str) -> set[str]:
        """Every reason to refuse this voice; none means that it counts."""
        reasons = {
            "GATE_CLOSED": self.status != "open",
            "GATE_EXPIRED": self.time_is_over,
            "SUBJECT_CHANGED": seen != self.subject,
            "NOT_A_DECIDER": "approver" not in by.roles or (verdict == "override" and "operator" not in by.roles),
            "SELF_APPROVAL": by.own,
            "AGENT_NOT_ADMITTED": not by.person,
            "ALREADY_VOTED": by.name in self.voices,
            "NO_COMMENT": verdict != "approve" and not comment,
        }
        return {reason for reason, applies in reasons.items() if applies}

    def decide(self, by: Person, verdict: str) -> None:
        """A voice that counts."""
        self.voices[by.name] = verdict
        self.facts += 1
        if verdict == "reject":
            self._become("rejected")
        elif verdict == "override":
            self._become("overridden")
        elif len(self.voices) >= self.quorum:
            self._become("approved")

    def may_void(self, user_ended_in_vain: bool) -> bool:
        """An open gate, or a pass that was not used, or used in vain."""
        unused = self.consumed_by is None or user_ended_in_vain
        return self.status in ("open", *PASSED) and unused

    def void(self) -> None:
        """Its subject has changed."""
        self._become("voided")

    def expire(self) -> None:
        """Nobody decided in time."""
        self._become("expired")

    def use(self, work: int) -> None:
        """Its pass is consumed."""
        self.consumed_by = work
        self.facts += 1

    def _become(self, status: str) -> None:
        self.status = status
        self.facts += 1
