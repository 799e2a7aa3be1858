"""What becomes of a work that nobody runs any more, or yet: the sweeper's decisions, and a release (contracts 4)."""

from __future__ import annotations

from datetime import datetime

from protobuf.wkt import Timestamp

from ameide.domain.decisions import work_budget, work_outcome
from ameide_core_proto.transformation.work.v1.facts_pb import WorkCanceled, WorkFailed
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode, Usage, WorkRequest


def lose_claim(work: WorkRequest, last_usage: Usage, now: datetime) -> WorkCanceled | WorkFailed | WorkRequest:
    """The lease has passed: requested again while lost claims are left, else failed; canceled if that was asked for."""
    at = Timestamp.from_datetime(now)
    if work.cancel_requested:
        return work_outcome.cancel_unclaimed(work, "canceled; its executor had gone", last_usage, at)
    if work.lost_claims < work.lost_claim_retries:
        return _again(work, last_usage, at, lost=True)
    return work_outcome.fail(
        work,
        FailureCode.LEASE_LOST,
        f"the executor of attempt {work.attempt} went silent, as did {work.lost_claims} before it",
        last_usage,
        at,
    )


def give_back(work: WorkRequest, last_usage: Usage, now: datetime) -> WorkCanceled | WorkFailed | WorkRequest:
    """The claim was given back: requested again without spending a lost claim; canceled if that was asked for."""
    at = Timestamp.from_datetime(now)
    if work.cancel_requested:
        return work_outcome.cancel_unclaimed(work, "canceled; its executor gave it back", last_usage, at)
    return _again(work, last_usage, at, lost=False)


def wait_on(work: WorkRequest, claim_deadline: datetime, now: datetime) -> WorkCanceled | WorkFailed | WorkRequest:
    """Unclaimed too long: announced again, failed at the deadline, or canceled if that was asked for."""
    at = Timestamp.from_datetime(now)
    if work.cancel_requested:
        return work_outcome.cancel_unclaimed(work, "canceled before anybody claimed it", Usage(), at)
    if claim_deadline <= now:
        return work_outcome.fail(
            work,
            FailureCode.TIMEOUT,
            f"no executor of {work.queue} claimed it in time; start one that serves this queue",
            Usage(),
            at,
        )
    return work_outcome.announce_again(work)


def _again(work: WorkRequest, last_usage: Usage, at: Timestamp, *, lost: bool) -> WorkFailed | WorkRequest:
    left = work_budget.rest(work, last_usage)
    if left is not None:
        return work_outcome.back(work, left, lost=lost)
    return work_outcome.fail(
        work,
        FailureCode.BUDGET_EXHAUSTED,
        f"attempt {work.attempt} had used all of the work's budget when its executor let go of it",
        last_usage,
        at,
    )
