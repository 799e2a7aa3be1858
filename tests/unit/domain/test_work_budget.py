"""Budgets of works: what is reserved, what counts, what does not fit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ameide.domain.decisions import work_budget
from ameide.domain.decisions.work import Claim
from ameide.errors import Refused
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    Gate,
    GateParameters,
    GateStatus,
)
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind, Policy
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    Budget,
    Usage,
    WorkKind,
    WorkRequest,
    WorkStatus,
)
from tests.unit.domain.test_work_decisions import held


def agent_work(wanted: int = 0, status: WorkStatus = WorkStatus.REQUESTED, id: str = "wrk-9") -> WorkRequest:
    return WorkRequest(
        work_request_id=id,
        work_kind=WorkKind.AGENT_WORK,
        action_kind=ActionKind.PUBLISH,
        status=status,
        budget=Budget(max_tokens=wanted),
    )


def reserve(
    wanted: int, limit: int, works: list[WorkRequest], claims: list[Claim], gates: list[Gate] | None = None
) -> int:
    policy = Policy(change_budget=Budget(max_tokens=limit), work_budget=Budget(max_tokens=500))
    return work_budget.reserve(agent_work(wanted), policy, None, gates or [], works, claims).max_tokens


def test_zero_is_no_limit_but_the_policys_for_one_work_holds() -> None:
    assert reserve(0, 0, [], []) == 500
    assert reserve(900, 0, [], []) == 500
    assert reserve(100, 0, [], []) == 100


def test_what_was_used_and_what_is_reserved_count_against_the_change() -> None:
    ended = agent_work(400, WorkStatus.FAILED, "wrk-1")
    running = agent_work(300, WorkStatus.STARTED, "wrk-2")
    claims = [
        held(1, "wrk-1", Usage(input_tokens=100, output_tokens=50), "failed"),
        held(1, "wrk-2", Usage(input_tokens=70), "lease_lost"),
        held(2, "wrk-2", Usage(input_tokens=10)),
    ]
    # 150 used, 70 lost, 300 reserved: 480 of 1000 are left.
    assert reserve(480, 1000, [ended, running], claims) == 480
    with pytest.raises(Refused) as refused:
        reserve(481, 1000, [ended, running], claims)
    assert refused.value.reason == "BUDGET_EXHAUSTED"
    assert "480 of 1000 tokens" in str(refused.value)


def test_a_run_that_used_more_than_it_reserved_counts_in_full() -> None:
    running = agent_work(100, WorkStatus.STARTED, "wrk-2")
    with pytest.raises(Refused):
        reserve(1, 1000, [running], [held(1, "wrk-2", Usage(output_tokens=1000))])


def test_agent_work_without_a_limit_gets_what_is_left() -> None:
    policy = Policy(change_budget=Budget(max_tokens=1000))
    taken = work_budget.reserve(agent_work(), policy, None, [], [agent_work(400, id="wrk-1")], [])
    assert taken.max_tokens == 600


def test_a_granted_budget_replaces_the_policys_for_one_work() -> None:
    granted = Gate(
        gate_id="gat-1",
        kind=GateKind.BUDGET,
        status=GateStatus.APPROVED,
        parameters=GateParameters(budget=Budget(max_tokens=2000)),
    )
    assert reserve(1500, 0, [], [], [granted]) == 1500


@given(
    st.integers(1, 10_000),
    st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 3000)), max_size=8),
    st.integers(0, 5000),
)
def test_reservations_never_pass_the_limit(limit: int, spent: list[tuple[int, int]], wanted: int) -> None:
    works = [agent_work(budget, WorkStatus.STARTED, f"wrk-{n}") for n, (budget, _) in enumerate(spent)]
    claims = [held(1, f"wrk-{n}", Usage(input_tokens=used)) for n, (_, used) in enumerate(spent)]
    committed = sum(max(budget, used) for budget, used in spent)
    try:
        got = reserve(wanted, limit, works, claims)
    except Refused:
        assert committed + max(min(wanted or 500, 500), 1) > limit
    else:
        assert 0 < got <= 500
        assert committed + got <= limit


# Claims


def test_what_was_talked_is_used_of_the_change() -> None:
    policy = Policy(change_budget=Budget(max_tokens=1000))
    talked = Usage(input_tokens=300, output_tokens=100)
    assert work_budget.reserve(agent_work(), policy, None, [], [], [], talked=talked).max_tokens == 600
    with pytest.raises(Refused, match="has 600 of 1000 tokens left"):
        work_budget.reserve(agent_work(601), policy, None, [], [], [], talked=talked)


def test_a_model_may_be_asked_until_an_account_is_used_up_whatever_works_hold_of_it() -> None:
    held = work_budget.Account("change", Budget(max_tokens=10), Budget(max_tokens=9), Budget(max_tokens=5), "Wait")
    other = work_budget.Account("tenant", Budget(max_cost_micros=7), Budget(max_cost_micros=4), Budget(), "Wait")
    free = work_budget.Account("tenant", Budget(), Budget(max_tokens=99), Budget(), "Wait")
    work_budget.need_unused([held, other, free])
    assert work_budget.unused_of([held, other, free]) == Budget(max_tokens=1, max_cost_micros=3)
    assert work_budget.unused_of([free]) == Budget()
    spent = work_budget.Account("tenant", Budget(max_cost_micros=4), Budget(max_cost_micros=4), Budget(), "Wait")
    with pytest.raises(Refused, match="the tenant has used all of its 4 cost_micros") as refused:
        work_budget.need_unused([held, spent])
    assert refused.value.reason == "BUDGET_EXHAUSTED"
    # 0 would be no limit.
    assert work_budget.unused_of([spent]) == Budget(max_cost_micros=1)
