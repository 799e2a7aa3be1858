"""What time decides about a work that nobody runs; the sweeper's decisions (contracts 4)."""

from __future__ import annotations

from datetime import datetime

from protobuf.wkt import Timestamp

from ameide.domain.decisions import work_outcome
from ameide_core_proto.transformation.work.v1.facts_pb import WorkCanceled, WorkFailed
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode, Usage, WorkRequest


def lose_claim(work: WorkRequest, last_usage: Usage, now: datetime) -> WorkCanceled | WorkFailed | WorkRequest:
    """The lease has passed: requested again while lost claims are left, else failed; canceled if that was asked for."""
    at = Timestamp.from_datetime(now)
    if work.cancel_requested:
        return work_outcome.cancel_unclaimed(work, "canceled; its executor had gone", last_usage, at)
    if work.lost_claims < work.lost_claim_retries:
        return work_outcome.back(work, lost=True)
    return work_outcome.fail(
        work,
        FailureCode.LEASE_LOST,
        f"the executor of attempt {work.attempt} went silent, as did {work.lost_claims} before it",
        last_usage,
        at,
    )


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
