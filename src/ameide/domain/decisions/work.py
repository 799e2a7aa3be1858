"""What all decisions about delegated work share: its steps, its leases, and how long an invitation waits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    TimeoutPolicy,
    Usage,
    WorkInputs,
    WorkKind,
    WorkRequest,
    WorkStatus,
)

ENDED = (WorkStatus.SUCCEEDED, WorkStatus.FAILED, WorkStatus.CANCELED)
# Seconds until an unclaimed work is announced again; the pause doubles up to the second number.
ANNOUNCE_AGAIN_AFTER = 60.0
ANNOUNCE_AGAIN_AT_MOST = 900.0
# For a policy that names no limit (seconds).
FALLBACK_TIMEOUTS = TimeoutPolicy(claim_by_seconds=86400, run_for_seconds=3600, silent_for_seconds=900)


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim of a work, as its row remembers it. The claim of the current attempt is the lease."""

    work_request_id: str
    attempt: int
    claim_id: str
    principal_id: str
    run_until: datetime
    usage: Usage
    # None while it runs: only an outcome, a release or the sweeper ends a claim.
    ended_at: datetime | None
    # succeeded, failed, canceled, released, lease_lost; empty while it runs.
    ended_by: str
    # Its evidence comes through the gateway.
    by_gateway: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long an unclaimed work waits: when it is announced again, and when it fails with TIMEOUT."""

    announce_at: datetime
    claim_deadline: datetime


def inputs_of(work: WorkRequest) -> WorkInputs:
    """The inputs; empty ones when there are none."""
    return work.inputs or WorkInputs()


def is_agent_publish(work: WorkRequest) -> bool:
    """Whether an agent writes code in this work."""
    return work.work_kind == WorkKind.AGENT_WORK and work.action_kind == ActionKind.PUBLISH


def step_of(work: WorkRequest) -> tuple[WorkKind, ActionKind, bool, str]:
    """What makes two works of one run the same step."""
    inputs = inputs_of(work)
    return work.work_kind, work.action_kind, inputs.push, inputs.environment


def waiting_from(work: WorkRequest, now: datetime) -> Waiting:
    """The wait of a work that was requested, released or lost just now."""
    deadline = now + timedelta(seconds=(work.timeout_policy or FALLBACK_TIMEOUTS).claim_by_seconds)
    return Waiting(min(now + timedelta(seconds=ANNOUNCE_AGAIN_AFTER), deadline), deadline)


def waiting_longer(work: WorkRequest, deadline: datetime, now: datetime) -> Waiting:
    """The wait after another announcement: as long again as it has waited until now, between the two bounds."""
    since = deadline - timedelta(seconds=(work.timeout_policy or FALLBACK_TIMEOUTS).claim_by_seconds)
    pause = min(max((now - since).total_seconds(), ANNOUNCE_AGAIN_AFTER), ANNOUNCE_AGAIN_AT_MOST)
    return Waiting(min(now + timedelta(seconds=pause), deadline), deadline)
