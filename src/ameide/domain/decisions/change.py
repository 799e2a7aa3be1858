"""Changes: opened, canceled, closed."""

from __future__ import annotations

from copy import deepcopy

from protobuf.wkt import Timestamp

from ameide.errors import Refused
from ameide_core_proto.common.v1.metadata_pb import Actor, Scope
from ameide_core_proto.transformation.governance.v1.command_service_pb import OpenChangeRequest
from ameide_core_proto.transformation.governance.v1.facts_pb import (
    ChangeBudgetSettled,
    ChangeCanceled,
    ChangeClosed,
    ChangeOpened,
)
from ameide_core_proto.transformation.governance.v1.governance_pb import Change, ChangeStatus, Repository
from ameide_core_proto.transformation.work.v1.work_pb import Budget


def open_change(
    command: OpenChangeRequest, change_id: str, repository: Repository, actor: Actor, now: Timestamp
) -> ChangeOpened:
    """A new change on a registered repository. Its budget is that of the policy in force until one is granted to it."""
    return ChangeOpened(
        change=Change(
            scope=Scope(
                tenant_id=repository.scope.tenant_id if repository.scope else "",
                repository_id=repository.repository_id,
            ),
            change_id=change_id,
            repository_id=repository.repository_id,
            title=command.title,
            status=ChangeStatus.OPEN,
            requester=actor,
            opened_at=now,
            version=1,
        )
    )


def need_open(change: Change) -> None:
    """Raises Refused unless the change is open."""
    if change.status != ChangeStatus.OPEN:
        raise Refused(
            f"change {change.change_id} is {change.status.name.lower()}",
            remedy="Open a new change",
            reason=f"CHANGE_{change.status.name}",
        )


def cancel(change: Change, reason: str) -> ChangeCanceled:
    """Final. Its run winds down by itself and says so."""
    need_open(change)
    changed = _next(change)
    changed.status = ChangeStatus.CANCELED
    changed.cancel_reason = reason
    return ChangeCanceled(change=changed)


def close(change: Change) -> ChangeClosed:
    """Final. Refused while a run is open."""
    need_open(change)
    if change.open_run_id:
        raise Refused(
            f"run {change.open_run_id} is open", remedy="Wait for it, or cancel the change", reason="RUN_OPEN"
        )
    changed = _next(change)
    changed.status = ChangeStatus.CLOSED
    return ChangeClosed(change=changed)


def grant(change: Change, budget: Budget) -> ChangeBudgetSettled:
    """A new budget, decided at a BUDGET gate. What it doesn't limit stays as it was."""
    changed, former = _next(change), change.budget or Budget()
    changed.budget = Budget(
        max_tokens=budget.max_tokens or former.max_tokens,
        max_cost_micros=budget.max_cost_micros or former.max_cost_micros,
    )
    return ChangeBudgetSettled(change=changed)


def _next(change: Change) -> Change:
    changed = deepcopy(change)
    changed.version += 1
    return changed
