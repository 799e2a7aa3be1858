"""What is said about delegated work, as data: the same call goes to the model, to the pure decisions and to the Domain.

Works are numbered in the order of their requests. Answers are words, see `Answer`.
"""

from __future__ import annotations

from dataclasses import dataclass

# RUN <attempt>, DECLINED_…; CANCEL or GO_ON; RECORDED, REPLAY; the status that a release or a cancel leaves; the number
# of things that a sweep dealt with; FENCED, CONFLICT, INVALID.
Answer = str


@dataclass(frozen=True)
class Pair:
    """Who says it: an attempt, its claim, and the executor's principal."""

    attempt: int
    claim_id: str
    principal: str


@dataclass(frozen=True)
class Claim:
    """RecordWorkStarted."""

    work: int
    claim_id: str
    principal: str


@dataclass(frozen=True)
class Heartbeat:
    """RecordWorkHeartbeat with the tokens that were used so far."""

    work: int
    pair: Pair
    tokens: int


@dataclass(frozen=True)
class Outcome:
    """RecordWorkOutcome: succeeded, failed or canceled, and what the executor says of it."""

    work: int
    pair: Pair
    verdict: str
    word: str


@dataclass(frozen=True)
class Release:
    """ReleaseWork."""

    work: int
    pair: Pair


@dataclass(frozen=True)
class Cancel:
    """CancelWork under one client_request_id."""

    work: int
    key: str


@dataclass(frozen=True)
class Lapse:
    """The sweeper looks at one work."""

    work: int


@dataclass(frozen=True)
class Run:
    """A poll was answered with this work, whichever it was."""

    work: int
    claim_id: str
    principal: str


Call = Claim | Heartbeat | Outcome | Release | Cancel | Lapse | Run
