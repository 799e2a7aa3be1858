"""Handlers of the tenant's budget, and its account for who reserves of it."""

from __future__ import annotations

from ameide.domain.decisions import tenant_budget
from ameide.domain.decisions.work_budget import Account
from ameide.domain.unit import Unit
from ameide.storage import sql
from ameide_core_proto.transformation.governance.v1.command_service_pb import (
    AllotTenantBudgetRequest,
    AllotTenantBudgetResponse,
)
from ameide_core_proto.transformation.governance.v1.governance_pb import TenantBudget
from ameide_core_proto.transformation.work.v1.work_pb import Budget

_SQL = sql.load("budget")


async def allot_tenant_budget(unit: Unit, command: AllotTenantBudgetRequest) -> AllotTenantBudgetResponse:
    """A new version of the tenant's budget. What is held stays held; the next work meets the new limit."""
    current = await _locked(unit)
    fact = tenant_budget.allot(current, command, unit.tenant_id, unit.actor, unit.timestamp)
    unit.record(fact)
    return AllotTenantBudgetResponse(tenant_budget=fact.tenant_budget)


async def lock_account(unit: Unit) -> Account | None:
    """The tenant's account, locked until the end; None for a tenant without a budget."""
    allotted = await _locked(unit)
    if allotted is None:
        return None
    since = tenant_budget.counted_from(allotted.period, unit.now)
    row = await unit.tx.fetch_one(_SQL["account"], (unit.tenant_id, since))
    assert row is not None
    return tenant_budget.account(
        allotted,
        Budget(max_tokens=row["used_tokens"], max_cost_micros=row["used_cost_micros"]),
        Budget(max_tokens=row["held_tokens"], max_cost_micros=row["held_cost_micros"]),
    )


async def _locked(unit: Unit) -> TenantBudget | None:
    row = await unit.tx.fetch_one(_SQL["lock_allotted"], (unit.tenant_id, unit.tenant_id))
    return TenantBudget.from_binary(row["state"]) if row else None
