"""Works and claims as rows. Used by the work commands and the sweeper, inside their transaction."""

from __future__ import annotations

from datetime import datetime

from ameide.domain.decisions.work import Claim, Waiting
from ameide.domain.decisions.work_claim import Lease
from ameide.domain.statement import intent_metadata
from ameide.domain.unit import Unit
from ameide.errors import NotFound
from ameide.storage import sql
from ameide.storage.db import Row
from ameide_core_proto.transformation.work.v1.facts_pb import WorkExecutionRequested
from ameide_core_proto.transformation.work.v1.work_pb import EvidenceBundle, Usage, WorkRequest

_SQL = sql.load("work")


def insert(unit: Unit, work: WorkRequest, waiting: Waiting) -> None:
    """Write a new work and invite to it."""
    unit.tx.later(_SQL["insert"], _columns(unit, work, waiting))
    _invite(unit, work)


def save(unit: Unit, work: WorkRequest, waiting: Waiting | None = None) -> None:
    """Write a work that is running or has ended; `waiting` is for one that stays requested."""
    unit.tx.later(_SQL["save"], _columns(unit, work, waiting))


def save_and_invite(unit: Unit, work: WorkRequest, waiting: Waiting) -> None:
    """Write a work that is requested again, and invite to it under its new dispatch."""
    save(unit, work, waiting)
    _invite(unit, work)


async def lock(unit: Unit, work_request_id: str) -> WorkRequest:
    """The work, locked until the end. Raises NotFound, also for another tenant's id."""
    row = await unit.tx.fetch_one(_SQL["lock"], (unit.tenant_id, work_request_id))
    if row is None:
        raise NotFound(f"no work {work_request_id}", remedy="`ameide work list` shows those that there are")
    return WorkRequest.from_binary(row["state"])


async def find(unit: Unit, work_request_id: str) -> WorkRequest | None:
    """The work or None, not locked."""
    row = await unit.tx.fetch_one(_SQL["find"], (unit.tenant_id, work_request_id))
    return WorkRequest.from_binary(row["state"]) if row else None


async def lock_with_claim(unit: Unit, work_request_id: str, attempt: int) -> tuple[WorkRequest, Claim | None]:
    """The work, locked until the end, and the claim of an attempt, read under that lock. Raises NotFound."""
    works, found = await unit.tx.fetch_each(
        (_SQL["lock"], (unit.tenant_id, work_request_id)), (_SQL["claim"], (unit.tenant_id, work_request_id, attempt))
    )
    if not works:
        raise NotFound(f"no work {work_request_id}", remedy="`ameide work list` shows those that there are")
    return WorkRequest.from_binary(works[0]["state"]), _claim(found[0]) if found else None


async def lock_open_of_change(unit: Unit, change_id: str) -> list[WorkRequest]:
    """The works of a change that have not ended, locked until the end."""
    rows = await unit.tx.fetch_all(_SQL["lock_open_of_change"], (unit.tenant_id, change_id))
    return [WorkRequest.from_binary(row["state"]) for row in rows]


async def of_change(unit: Unit, change_id: str) -> tuple[list[WorkRequest], list[Claim]]:
    """All works of a change, oldest first, and all of their claims."""
    key = (unit.tenant_id, change_id)
    works, found = await unit.tx.fetch_each((_SQL["of_change"], key), (_SQL["claims_of_change"], key))
    return [WorkRequest.from_binary(row["state"]) for row in works], [_claim(row) for row in found]


async def of_queue(unit: Unit, change_id: str, queue: str) -> tuple[list[WorkRequest], list[Claim]]:
    """The works of a change on one queue, oldest first, and their claims."""
    key = (unit.tenant_id, change_id, queue)
    works, found = await unit.tx.fetch_each((_SQL["of_queue"], key), (_SQL["claims_of_queue"], key))
    return [WorkRequest.from_binary(row["state"]) for row in works], [_claim(row) for row in found]


async def claim_of(unit: Unit, work_request_id: str, attempt: int) -> Claim | None:
    """The claim of one attempt, locked until the end; its work is locked before it."""
    row = await unit.tx.fetch_one(_SQL["claim"], (unit.tenant_id, work_request_id, attempt))
    return _claim(row) if row else None


def insert_claim(unit: Unit, work: WorkRequest, claim_id: str, lease: Lease, runner: str) -> None:
    """Write the claim of a new attempt, which is its lease."""
    unit.tx.later(
        _SQL["insert_claim"],
        {
            "tenant_id": unit.tenant_id,
            "work_request_id": work.work_request_id,
            "attempt": work.attempt,
            "claim_id": claim_id,
            "principal_id": work.executor_principal_id,
            "runner": runner,
            "now": unit.now,
            "lease_until": lease.until,
            "run_until": lease.run_until,
            "requested_at": work.requested_at.to_datetime() if work.requested_at else unit.now,
        },
    )


def end_claim(unit: Unit, work: WorkRequest, ended_by: str, usage: Usage) -> None:
    """End the claim of the current attempt and settle what it used."""
    unit.tx.later(
        _SQL["end_claim"],
        {
            "tenant_id": unit.tenant_id,
            "work_request_id": work.work_request_id,
            "attempt": work.attempt,
            "now": unit.now,
            "ended_by": ended_by,
            "usage": usage.to_binary(),
        },
    )


def insert_evidence(unit: Unit, work: WorkRequest, evidence: EvidenceBundle) -> None:
    """Keep the bundle of the outcome that ends a work, whole."""
    unit.tx.later(
        _SQL["insert_evidence"],
        {
            "tenant_id": unit.tenant_id,
            "evidence_bundle_id": evidence.evidence_bundle_id,
            "work_request_id": work.work_request_id,
            "change_id": work.change_id,
            "attempt": evidence.attempt,
            "now": unit.now,
            "body": evidence.to_binary(),
        },
    )


def remove_invitation(unit: Unit, work_request_id: str) -> None:
    """Use up the invitation, if one is waiting."""
    unit.tx.later(_SQL["remove_invitation"], (unit.tenant_id, work_request_id))


def _invite(unit: Unit, work: WorkRequest) -> None:
    unit.announce(
        WorkExecutionRequested(
            metadata=intent_metadata(unit, work),
            work_request_id=work.work_request_id,
            queue=work.queue,
            dispatch=work.dispatch,
            work_kind=work.work_kind,
            action_kind=work.action_kind,
        )
    )


def _claim(row: Row) -> Claim:
    ended_at: datetime | None = row["ended_at"]
    return Claim(
        row["work_request_id"],
        row["attempt"],
        row["claim_id"],
        row["principal_id"],
        row["run_until"],
        Usage.from_binary(row["usage"]),
        ended_at,
        row["ended_by"],
    )


def _columns(unit: Unit, work: WorkRequest, waiting: Waiting | None) -> dict[str, object]:
    return {
        "tenant_id": unit.tenant_id,
        "work_request_id": work.work_request_id,
        "process_instance_id": work.process_instance_id,
        "change_id": work.change_id,
        "queue": work.queue,
        "status": work.status.name.lower(),
        "attempt": work.attempt,
        "dispatch": work.dispatch,
        "lost_claims": work.lost_claims,
        "cancel_requested": work.cancel_requested,
        "announce_at": waiting.announce_at if waiting else None,
        "claim_deadline": waiting.claim_deadline if waiting else None,
        "version": work.version,
        "state": work.to_binary(),
    }
