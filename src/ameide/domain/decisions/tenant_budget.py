"""What a tenant may use: all works of all its changes together, in a calendar month or in all."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime

from protobuf.wkt import Timestamp

from ameide.domain.decisions.work_budget import Account
from ameide.errors import Conflict
from ameide_core_proto.common.v1.metadata_pb import Actor, Scope
from ameide_core_proto.transformation.governance.v1.command_service_pb import AllotTenantBudgetRequest
from ameide_core_proto.transformation.governance.v1.facts_pb import TenantBudgetAllotted
from ameide_core_proto.transformation.governance.v1.governance_pb import BudgetPeriod, TenantBudget
from ameide_core_proto.transformation.work.v1.work_pb import Budget

# Before anything was counted.
_EVER = datetime(1970, 1, 1, tzinfo=UTC)


def allot(
    current: TenantBudget | None, command: AllotTenantBudgetRequest, tenant_id: str, actor: Actor, now: Timestamp
) -> TenantBudgetAllotted:
    """The next version; less than was used stops what comes next. Raises Conflict when the author saw another one."""
    version = current.version if current else 0
    if command.expected_version != version:
        raise Conflict(
            f"the tenant's budget is at version {version}",
            field="expected_version",
            remedy="Read it again with `ameide budget show`, then decide",
            reason="STALE_VERSION",
        )
    allotted = deepcopy(current) if current else TenantBudget(scope=Scope(tenant_id=tenant_id))
    allotted.budget = command.budget
    allotted.period = command.period
    allotted.comment = command.comment
    allotted.allotted_by = actor
    allotted.allotted_at = now
    allotted.version = version + 1
    return TenantBudgetAllotted(tenant_budget=allotted)


def counted_from(period: BudgetPeriod, now: datetime) -> datetime:
    """When the current period began. A work counts in the one in which it was requested."""
    if period == BudgetPeriod.IN_ALL:
        return _EVER
    return now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def account(allotted: TenantBudget, used: Budget, held: Budget) -> Account:
    """The tenant's account in the current period."""
    return Account(
        "tenant",
        allotted.budget or Budget(),
        used,
        held,
        "Raise the tenant's budget with `ameide budget set`, or wait for open works to end; a work_budget in the "
        "policy keeps one work from holding all that is left",
    )
