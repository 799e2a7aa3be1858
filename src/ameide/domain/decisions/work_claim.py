"""Claims: who may run a work, for how long, and whose word counts. The fence of contracts 4."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timedelta

from protobuf.wkt import Timestamp

from ameide.domain.decisions.work import FALLBACK_TIMEOUTS, Claim
from ameide.errors import Fenced, PermissionDenied
from ameide_core_proto.transformation.work.v1.command_service_pb import ClaimAnswer
from ameide_core_proto.transformation.work.v1.facts_pb import WorkStarted
from ameide_core_proto.transformation.work.v1.work_pb import WorkRequest, WorkStatus


@dataclass(frozen=True, slots=True)
class Lease:
    """Until when a claim holds unless it is extended, and the end that no extension passes."""

    until: datetime
    run_until: datetime

    def seconds(self, now: datetime) -> int:
        """Whole seconds left, as executors count them; never negative."""
        return max(int((self.until - now).total_seconds()), 0)


def need_queue(queue: str, queues: frozenset[str]) -> None:
    """Raises PermissionDenied when the token does not serve the queue."""
    if queue not in queues:
        raise PermissionDenied(
            f"the token does not serve {queue}",
            field="queues",
            remedy="Create one with `ameide token create --queue`, or poll other queues",
            reason="QUEUE_NOT_SERVED",
        )


def answer(work: WorkRequest, current: Claim | None, claim_id: str, principal_id: str) -> ClaimAnswer:
    """The answer to a claim. RUN while `current` is this very claim means the same run again."""
    if work.status in (WorkStatus.SUCCEEDED, WorkStatus.FAILED):
        return ClaimAnswer.DECLINED_FINISHED
    if work.status == WorkStatus.CANCELED:
        return ClaimAnswer.DECLINED_CANCELED
    if work.status == WorkStatus.STARTED:
        same = current is not None and (current.claim_id, current.principal_id) == (claim_id, principal_id)
        return ClaimAnswer.RUN if same else ClaimAnswer.DECLINED_RUNNING_ELSEWHERE
    return ClaimAnswer.DECLINED_CANCELED if work.cancel_requested else ClaimAnswer.RUN


def start(work: WorkRequest, principal_id: str, now: Timestamp) -> WorkStarted:
    """A new attempt."""
    started = deepcopy(work)
    started.status = WorkStatus.STARTED
    started.attempt += 1
    started.started_at = now
    started.executor_principal_id = principal_id
    started.version += 1
    return WorkStarted(work=started)


def lease_for(work: WorkRequest, now: datetime, lease_seconds: float) -> Lease:
    """The lease of an attempt that starts now."""
    run_until = now + timedelta(seconds=(work.timeout_policy or FALLBACK_TIMEOUTS).run_for_seconds)
    return Lease(min(now + timedelta(seconds=lease_seconds), run_until), run_until)


def need_current(work: WorkRequest, claim: Claim | None, attempt: int, claim_id: str, principal_id: str) -> Claim:
    """The running claim that (attempt, claim_id) names. Raises Fenced for every other pair, whatever its lease says."""
    if (
        work.status != WorkStatus.STARTED
        or claim is None
        or claim.ended_at is not None
        or (work.attempt, claim.attempt) != (attempt, attempt)
        or (claim.claim_id, claim.principal_id) != (claim_id, principal_id)
    ):
        raise fenced(work.work_request_id, attempt)
    return claim


def fenced(work_request_id: str, attempt: int) -> Fenced:
    """The answer to a pair that is not the current claim."""
    return Fenced(
        f"attempt {attempt} of {work_request_id} with this claim_id is not the current claim",
        remedy="Kill the child and write nothing; claim anew",
        reason="FENCED",
    )
