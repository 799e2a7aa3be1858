"""What the tests of budgets say to the Domain: allot, request, use, and look at the account of a tenant."""

import pytest

from ameide.domain.commands import budgets
from ameide.domain.decisions.default_policy import default_policy
from ameide.errors import Refused
from ameide.rpc.interceptors import Caller
from ameide_core_proto.transformation.governance.v1 import command_service_pb as governance
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    BudgetPeriod,
    Run,
    TenantBudget,
)
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.work.v1.work_pb import Budget, FailureCode, Usage, WorkRequest
from tests.domain_work.world import OPERATOR, Claimed, World, code, failure, key

APPROVER, SECOND = (Caller("default", name, "PERSON", frozenset({"approver"})) for name in ("anna", "bert"))
HEAD_OF_OPERATIONS = Caller("default", "omar", "PERSON", frozenset({"operator"}))


def tokens(number: int) -> Budget:
    return Budget(max_tokens=number)


async def allot(
    world: World, budget: Budget, *, expected: int = 0, period: BudgetPeriod = BudgetPeriod.CALENDAR_MONTH
) -> TenantBudget:
    command = governance.AllotTenantBudgetRequest(
        client_request_id=key(), expected_version=expected, budget=budget, period=period, comment="for the team"
    )
    answer = await world.service.execute(
        OPERATOR, "AllotTenantBudget", command, governance.AllotTenantBudgetResponse, budgets.allot_tenant_budget
    )
    assert answer.tenant_budget is not None
    return answer.tenant_budget


async def runs(world: World, many: int, policy: Policy | None = None) -> list[Run]:
    await world.register(policy=policy)
    return [await world.start_run(await world.open_change()) for _ in range(many)]


def limited(work: int = 0, change: int = 0) -> Policy:
    policy = default_policy("orders", gitops=True)
    policy.work_budget, policy.change_budget = tokens(work), tokens(change)
    return policy


async def refusal(world: World, run: Run) -> str:
    with pytest.raises(Refused) as refused:
        await world.request(code(run))
    assert refused.value.reason == "BUDGET_EXHAUSTED"
    return str(refused.value)


async def told(world: World, claimed: Claimed, used: int, code: FailureCode = FailureCode.TOOL_FAILED) -> WorkRequest:
    command = failure(claimed, code)
    assert command.result is not None
    command.result.usage = Usage(input_tokens=used)
    work = (await world.outcome(claimed, command)).work
    assert work is not None
    return work


def account(world: World) -> tuple[object, object]:
    [row] = world.sql(
        "SELECT coalesce(sum(used_tokens), 0)::int AS used, coalesce(sum(held_tokens), 0)::int AS held "
        "FROM ameide.spend"
    )
    return row["used"], row["held"]


# The tenant
