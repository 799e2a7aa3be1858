"""What a tenant was allotted, and what its works and conversations used and hold of it by the Domain's account, now."""

from __future__ import annotations

from protobuf.wkt import Timestamp

from ameide.domain.decisions.tenant_budget import counted_from
from ameide.storage.sql import load
from ameide.views.reading import Reading
from ameide_core_proto.transformation.governance.v1.governance_pb import BudgetPeriod, TenantBudget
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetTenantBudgetResponse
from ameide_core_proto.transformation.work.v1.work_pb import Budget

_SQL = load("budget")


async def tenant_budget(reading: Reading, tenant_id: str) -> GetTenantBudgetResponse:
    """The tenant's budget and account; of a tenant without a budget what it used this month."""
    allotted = await reading.find(TenantBudget, tenant_id)
    period = allotted.period if allotted else BudgetPeriod.CALENDAR_MONTH
    since = counted_from(period, reading.tx.now)
    row = await reading.tx.fetch_one(_SQL["account"], {"tenant": tenant_id, "since": since})
    assert row is not None
    return GetTenantBudgetResponse(
        tenant_budget=allotted,
        used=Budget(max_tokens=row["used_tokens"], max_cost_micros=row["used_cost_micros"]),
        reserved=Budget(max_tokens=row["held_tokens"], max_cost_micros=row["held_cost_micros"]),
        counted_from=None if period == BudgetPeriod.IN_ALL else Timestamp.from_datetime(since),
    )
