"""Handlers of the tenant's budget, and the accounts for who reserves of them or asks a model."""

from __future__ import annotations

from ameide.contracts.usage import added, spent
from ameide.domain.commands import work_rows
from ameide.domain.decisions import tenant_budget
from ameide.domain.decisions.work_budget import Account, account_of, limit_of
from ameide.domain.unit import Unit
from ameide.storage import sql
from ameide_core_proto.transformation.governance.v1.command_service_pb import (
    AllotTenantBudgetRequest,
    AllotTenantBudgetResponse,
)
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    BudgetPeriod,
    Change,
    Conversation,
    TenantBudget,
)
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.work.v1.work_pb import Budget, Usage

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
    return await _account(unit, allotted) if allotted else None


async def accounts_of(unit: Unit, conversation: Conversation) -> list[Account]:
    """The accounts that limit a conversation, as they are; nothing is locked, for nothing is reserved."""
    accounts: list[Account] = []
    if conversation.change_id:
        change = await unit.read("change", conversation.change_id, Change)
        policy = await unit.read("policy", change.repository_id, Policy)
        if limit_of(policy, change) != Budget():
            works, claims = await work_rows.of_change(unit, change.change_id)
            accounts.append(account_of(policy, change, works, claims, await talked(unit, change.change_id)))
    allotted = await unit.find("tenant_budget", unit.tenant_id, TenantBudget)
    if allotted is not None:
        accounts.append(await _account(unit, allotted))
    return accounts


async def talked(unit: Unit, change_id: str) -> Usage:
    """What all conversations about a change have used."""
    conversations = await unit.children("conversation", change_id, Conversation)
    return added(conversation.usage for conversation in conversations if conversation.usage)


def use(unit: Unit, conversation_id: str, usage: Usage) -> None:
    """Count what a conversation used, in the month in which it says so."""
    used = spent(usage)
    if used != Budget():
        month = tenant_budget.counted_from(BudgetPeriod.CALENDAR_MONTH, unit.now)
        place = (unit.tenant_id, conversation_id, month)
        unit.tx.later(_SQL["use_by_talking"], (*place, used.max_tokens, used.max_cost_micros))


async def _account(unit: Unit, allotted: TenantBudget) -> Account:
    since = tenant_budget.counted_from(allotted.period, unit.now)
    row = await unit.tx.fetch_one(_SQL["account"], {"tenant": unit.tenant_id, "since": since})
    assert row is not None
    return tenant_budget.account(
        allotted,
        Budget(max_tokens=row["used_tokens"], max_cost_micros=row["used_cost_micros"]),
        Budget(max_tokens=row["held_tokens"], max_cost_micros=row["held_cost_micros"]),
    )


async def _locked(unit: Unit) -> TenantBudget | None:
    row = await unit.tx.fetch_one(_SQL["lock_allotted"], (unit.tenant_id, unit.tenant_id))
    return TenantBudget.from_binary(row["state"]) if row else None
