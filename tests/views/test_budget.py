"""The tenant's budget as it is told: what was allotted, what is used and held of it."""

from ameide_core_proto.common.v1.reading_pb import CitationKind
from ameide_core_proto.transformation.governance.v1.governance_pb import BudgetPeriod
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetTenantBudgetRequest, ListAuditRequest
from ameide_core_proto.transformation.work.v1.work_pb import Budget
from tests.domain_work.budgets import allot, limited, runs, told
from tests.domain_work.world import code
from tests.views.readers import Readers


async def test_used_and_held_are_told_beside_what_was_allotted(readers: Readers):
    world = readers.world
    first, second = await runs(world, 2, limited(work=600))
    await allot(world, Budget(max_tokens=2000))
    await told(world, await world.run(await world.requested(code(first)), "author"), 350)
    await world.requested(code(second))
    await readers.caught_up()
    client = await readers.reader()
    answer = await client.queries.get_tenant_budget(GetTenantBudgetRequest())
    assert answer.tenant_budget is not None
    assert answer.tenant_budget.budget == Budget(max_tokens=2000)
    assert (answer.used, answer.reserved) == (Budget(max_tokens=350), Budget(max_tokens=600))
    assert answer.counted_from is not None
    began = answer.counted_from.to_datetime()
    assert (began.day, began.hour, began.minute) == (1, 0, 0)
    assert [citation.kind for citation in answer.citations] == [CitationKind.DOMAIN_FACT]
    audit = await client.queries.list_audit(ListAuditRequest(principal_id="olga"))
    [entry] = [entry for entry in audit.entries if entry.name == "TenantBudgetAllotted"]
    assert entry.text == "tenant's budget version 1 allotted, 2000 tokens, calendar month: for the team"


async def test_in_all_has_no_beginning_and_a_tenant_without_a_budget_sees_its_month(readers: Readers):
    client = await readers.reader()
    answer = await client.queries.get_tenant_budget(GetTenantBudgetRequest())
    assert answer.tenant_budget is None
    assert answer.counted_from is not None
    await allot(readers.world, Budget(max_tokens=1), period=BudgetPeriod.IN_ALL)
    await readers.caught_up()
    answer = await client.queries.get_tenant_budget(GetTenantBudgetRequest())
    assert answer.counted_from is None


async def test_another_tenant_sees_its_own_only(readers: Readers):
    await allot(readers.world, Budget(max_tokens=5))
    await readers.caught_up()
    client = await readers.reader("rival")
    answer = await client.queries.get_tenant_budget(GetTenantBudgetRequest())
    assert (answer.tenant_budget, answer.citations) == (None, [])
