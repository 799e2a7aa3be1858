"""The BUDGET gate on the real database: what may be granted, by whom, and how far it carries."""

import pytest

from ameide.domain.commands import changes, gates
from ameide.errors import PermissionDenied, Refused
from ameide.rpc.interceptors import Caller
from ameide_core_proto.transformation.governance.v1 import command_service_pb as governance
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    Change,
    Gate,
    GateParameters,
    GateStatus,
    GateVerdict,
    Run,
)
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind, Policy
from ameide_core_proto.transformation.work.v1.work_pb import Budget, FailureCode
from tests.domain_work.budgets import APPROVER, HEAD_OF_OPERATIONS, SECOND, allot, limited, refusal, runs, tokens, told
from tests.domain_work.gates import open_gate
from tests.domain_work.world import OPERATOR, World, code, key


async def at_gate(world: World, policy: Policy, used: int) -> tuple[Run, Gate]:
    """A run whose coder used so much, and its open BUDGET gate."""
    [run] = await runs(world, 1, policy)
    await told(world, await world.run(await world.requested(code(run)), "author"), used, FailureCode.BUDGET_EXHAUSTED)
    return run, await open_gate(world, run, GateKind.BUDGET, reason="The coder has used its budget.")


async def approve(
    world: World, gate: Gate, by: Caller, budget: Budget | None = None, verdict: GateVerdict = GateVerdict.APPROVE
) -> Gate:
    command = governance.DecideGateRequest(
        client_request_id=key(),
        gate_id=gate.gate_id,
        verdict=verdict,
        subject_hash=gate.subject_hash,
        comment="it is worth it",
        parameters=GateParameters(budget=budget) if budget else None,
    )
    answer = await world.service.execute(by, "DecideGate", command, governance.DecideGateResponse, gates.decide_gate)
    assert answer.gate is not None
    return answer.gate


async def test_the_step_goes_on_with_what_is_left_of_the_granted_budget(world: World) -> None:
    run, gate = await at_gate(world, limited(work=500, change=500), 500)
    await refusal(world, run)
    assert (await approve(world, gate, APPROVER, tokens(1200))).status == GateStatus.APPROVED
    assert (await world.requested(code(run))).budget == tokens(700)
    [row] = world.sql("SELECT state FROM ameide.aggregate WHERE kind = 'change'")
    assert isinstance(row["state"], bytes)
    assert Change.from_binary(row["state"]).budget == tokens(1200)


@pytest.mark.parametrize("verdict", [GateVerdict.APPROVE, GateVerdict.OVERRIDE])
async def test_approving_without_a_budget_says_what_is_missing(world: World, verdict: GateVerdict) -> None:
    _, gate = await at_gate(world, limited(work=500, change=500), 500)
    with pytest.raises(Refused) as refused:
        await approve(world, gate, HEAD_OF_OPERATIONS, None, verdict)
    assert refused.value.reason == "BUDGET_NEEDED"
    assert "has used 500 tokens" in str(refused.value)
    assert "--budget-tokens" in refused.value.remedy


@pytest.mark.parametrize("budget", [tokens(500), tokens(1), Budget(max_cost_micros=9)])
async def test_a_budget_that_leaves_nothing_is_refused(world: World, budget: Budget) -> None:
    _, gate = await at_gate(world, limited(work=500, change=500), 500)
    with pytest.raises(Refused) as refused:
        await approve(world, gate, APPROVER, budget)
    assert refused.value.reason == "BUDGET_TOO_SMALL"
    assert "500 are used or held" in str(refused.value)


async def test_what_a_grant_does_not_limit_stays_limited(world: World) -> None:
    policy = limited()
    policy.change_budget = Budget(max_tokens=500, max_cost_micros=80)
    run, gate = await at_gate(world, policy, 500)
    await approve(world, gate, APPROVER, tokens(900))
    assert (await world.requested(code(run))).budget == Budget(max_tokens=400, max_cost_micros=80)


async def test_beyond_the_policy_s_limit_an_operator_must_grant(world: World) -> None:
    policy = limited(change=500)
    policy.grant_limit = tokens(1000)
    run, gate = await at_gate(world, policy, 500)
    with pytest.raises(PermissionDenied) as refused:
        await approve(world, gate, APPROVER, tokens(1001))
    assert refused.value.reason == "GRANT_LIMIT"
    assert (await approve(world, gate, HEAD_OF_OPERATIONS, tokens(1001))).status == GateStatus.APPROVED
    await world.requested(code(run))


async def test_the_last_of_several_voices_grants_no_more_than_the_first(world: World) -> None:
    policy = limited(change=500)
    next(rule for rule in policy.gates if rule.kind == GateKind.BUDGET).quorum = 2
    _, gate = await at_gate(world, policy, 500)
    assert (await approve(world, gate, APPROVER, tokens(600))).status == GateStatus.OPEN
    with pytest.raises(Refused) as refused:
        await approve(world, gate, SECOND, tokens(900_000))
    assert refused.value.reason == "OTHER_PARAMETERS"
    decided = await approve(world, gate, SECOND)
    assert (decided.status, decided.parameters) == (GateStatus.APPROVED, GateParameters(budget=tokens(600)))


async def test_a_grant_is_no_use_while_the_tenant_has_nothing_left(world: World) -> None:
    await allot(world, tokens(500))
    run, gate = await at_gate(world, limited(work=500), 500)
    with pytest.raises(Refused) as refused:
        await approve(world, gate, APPROVER, tokens(900))
    assert "the tenant has none of its 500 tokens left" in str(refused.value)
    await allot(world, tokens(1000), expected=1)
    await approve(world, gate, APPROVER, tokens(900))
    assert (await world.requested(code(run))).budget == tokens(400)


async def test_a_policy_that_allows_more_is_enough(world: World) -> None:
    [run] = await runs(world, 1, limited(change=500))
    await told(world, await world.run(await world.requested(code(run)), "author"), 500)
    await refusal(world, run)
    policy = limited(change=800)
    await world.service.execute(
        OPERATOR,
        "AdoptPolicy",
        governance.AdoptPolicyRequest(
            client_request_id=key(), repository_id="orders", expected_version=1, policy=policy
        ),
        governance.AdoptPolicyResponse,
        changes.adopt_policy,
    )
    assert (await world.requested(code(run))).budget == tokens(300)
