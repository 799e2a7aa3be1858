"""Delegated work as the contract tells it, in a hundred lines: what deciders and Domain are compared with.

Nothing here was taken from the code. Time is two flags: the lease has passed, the wait has.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.models.calls import Answer, Call, Cancel, Claim, Heartbeat, Lapse, Outcome, Pair, Release, Run

ENDED = ("succeeded", "failed", "canceled")
FACTS = {"succeeded": "WorkCompleted", "failed": "WorkFailed", "canceled": "WorkCanceled"}


@dataclass
class Attempt:
    """One claim, from its RUN to its end."""

    pair: Pair
    tokens: int = 0
    ended_by: str = ""


@dataclass
class WorkModel:
    """One work, and everything that was ever said of it that counts."""

    lost_claim_retries: int = 2
    status: str = "requested"
    dispatch: int = 1
    lost_claims: int = 0
    cancel_requested: bool = False
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    facts: list[str] = field(default_factory=lambda: ["WorkRequested"])
    # The word that ended it, when an executor said it.
    last_word: tuple[Pair, str, str] | None = None
    failure: str = ""
    lease_passed: bool = False
    announcement_due: bool = False
    deadline_passed: bool = False
    canceled_with: dict[str, Answer] = field(default_factory=dict[str, Answer])

    @property
    def holder(self) -> Attempt | None:
        """The current claim."""
        return self.attempts[-1] if self.status == "started" else None

    def say(self, call: Call) -> Answer:
        """Take a call and answer it."""
        match call:
            case Claim(_, claim_id, principal) | Run(_, claim_id, principal):
                return self._claim(claim_id, principal)
            case Heartbeat(_, pair, tokens):
                return self._heartbeat(pair, tokens)
            case Outcome(_, pair, verdict, word):
                return self._outcome(pair, verdict, word)
            case Release(_, pair):
                return self._release(pair)
            case Cancel(_, key):
                if key not in self.canceled_with:
                    self.canceled_with[key] = self._cancel()
                return self.canceled_with[key]
            case Lapse():
                return str(int(self._lapse()))

    def _claim(self, claim_id: str, principal: str) -> Answer:
        if self.status in ("succeeded", "failed"):
            return "DECLINED_FINISHED"
        if self.status == "canceled":
            return "DECLINED_CANCELED"
        if self.holder is None:
            self.status = "started"
            self.attempts.append(Attempt(Pair(len(self.attempts) + 1, claim_id, principal)))
            self.facts.append("WorkStarted")
            self.announcement_due = self.deadline_passed = False
        elif (self.holder.pair.claim_id, self.holder.pair.principal) != (claim_id, principal):
            return "DECLINED_RUNNING_ELSEWHERE"
        self.lease_passed = False
        return f"RUN {len(self.attempts)}"

    def _heartbeat(self, pair: Pair, tokens: int) -> Answer:
        if self.holder is None or self.holder.pair != pair:
            return "FENCED"
        self.lease_passed = False
        self.holder.tokens = tokens
        return "CANCEL" if self.cancel_requested else "GO_ON"

    def _outcome(self, pair: Pair, verdict: str, word: str) -> Answer:
        if self.last_word is not None and self.last_word[0] == pair:
            return "REPLAY" if self.last_word == (pair, verdict, word) else "CONFLICT"
        if self.holder is None or self.holder.pair != pair:
            return "FENCED"
        if verdict == "canceled" and not self.cancel_requested:
            return "INVALID"
        self.last_word = (pair, verdict, word)
        self._end(verdict, verdict)
        return "RECORDED"

    def _release(self, pair: Pair) -> Answer:
        if self.holder is None or self.holder.pair != pair:
            return "FENCED"
        if self.cancel_requested:
            self._end("canceled", "released")
        else:
            self._back("released")
        return self.status

    def _cancel(self) -> Answer:
        if self.status == "requested":
            self.cancel_requested = True
            self._end("canceled", "")
        elif self.status == "started":
            self.cancel_requested = True
        return self.status

    def _lapse(self) -> bool:
        if self.holder is not None and self.lease_passed:
            if self.cancel_requested:
                self._end("canceled", "lease_lost")
            elif self.lost_claims < self.lost_claim_retries:
                self.lost_claims += 1
                self._back("lease_lost")
            else:
                self.failure = "LEASE_LOST"
                self._end("failed", "lease_lost")
            return True
        if self.status == "requested" and self.deadline_passed:
            self.failure = "TIMEOUT"
            self._end("failed", "")
            return True
        if self.status == "requested" and self.announcement_due:
            self.announcement_due = False
            self.dispatch += 1
            return True
        return False

    def _back(self, how: str) -> None:
        self.attempts[-1].ended_by = how
        self.status = "requested"
        self.dispatch += 1
        self.lease_passed = False

    def _end(self, status: str, how: str) -> None:
        if self.status == "started":
            self.attempts[-1].ended_by = how
        self.status = status
        self.facts.append(FACTS[status])
        self.lease_passed = self.announcement_due = self.deadline_passed = False


@dataclass(frozen=True)
class Seen:
    """What can be seen of a work, in the model as in the program."""

    status: str
    version: int
    dispatch: int
    lost_claims: int
    cancel_requested: bool
    attempts: tuple[tuple[Pair, str, int], ...]
    facts: tuple[str, ...]


def seen(work: WorkModel) -> Seen:
    """The model's side of it."""
    return Seen(
        work.status,
        len(work.facts),
        work.dispatch,
        work.lost_claims,
        work.cancel_requested,
        tuple((attempt.pair, attempt.ended_by, attempt.tokens) for attempt in work.attempts),
        tuple(work.facts),
    )


def check(work: WorkModel) -> None:
    """What the contract promises of every work at every time."""
    endings = [name for name in work.facts if name in FACTS.values()]
    assert len(endings) == (work.status in ENDED)
    assert not endings or work.facts[-1] == endings[0]
    assert work.facts.count("WorkStarted") == len(work.attempts)
    running = [attempt for attempt in work.attempts if not attempt.ended_by]
    assert running == ([work.attempts[-1]] if work.status == "started" else [])
    assert work.lost_claims <= work.lost_claim_retries
    lost = sum(attempt.ended_by == "lease_lost" for attempt in work.attempts)
    assert lost <= work.lost_claim_retries + 1
