"""Budgets: what a change may use, what its works have used, and what its open works may still use (contracts 4)."""

from __future__ import annotations

from collections.abc import Sequence

from ameide.domain.decisions.gate import PASSED, opened
from ameide.domain.decisions.work import ENDED, Claim
from ameide.errors import Refused
from ameide_core_proto.transformation.governance.v1.governance_pb import Change, Gate
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind, Policy
from ameide_core_proto.transformation.work.v1.work_pb import Budget, Usage, WorkKind, WorkRequest


def reserve(
    work: WorkRequest,
    policy: Policy,
    change: Change | None,
    gates: Sequence[Gate],
    works: Sequence[WorkRequest],
    claims: Sequence[Claim],
) -> Budget:
    """What the work may use. 0 is no limit, in tokens as in millionths of the currency; the change must be locked.

    A work asks for no more than the policy's budget for one work, or what a person granted at a BUDGET gate. Agent work
    that names no limit gets what the change has left. Raises Refused(BUDGET_EXHAUSTED) when it doesn't fit.
    """
    cap = _granted(gates) or policy.work_budget or Budget()
    asked = work.budget or Budget()
    limit = limit_of(policy, change)
    agent = work.work_kind == WorkKind.AGENT_WORK
    open_works = {w.work_request_id: w for w in works if w.status not in ENDED}
    tokens, cost = 0, 0
    running = {id: Usage() for id in open_works}
    for claim in claims:
        if claim.ended_at is None and claim.work_request_id in running:
            running[claim.work_request_id] = claim.usage
        else:
            tokens += tokens_of(claim.usage)
            cost += claim.usage.cost_micros
    for id, usage in running.items():
        reserved = open_works[id].budget or Budget()
        tokens += max(reserved.max_tokens, tokens_of(usage))
        cost += max(reserved.max_cost_micros, usage.cost_micros)
    return Budget(
        max_tokens=_fit(_cap(asked.max_tokens, cap.max_tokens, agent), limit.max_tokens, tokens, agent, "tokens"),
        max_cost_micros=_fit(
            _cap(asked.max_cost_micros, cap.max_cost_micros, agent), limit.max_cost_micros, cost, agent, "cost_micros"
        ),
    )


def limit_of(policy: Policy, change: Change | None) -> Budget:
    """What all works of a change may use together; 0 is no limit."""
    return (change.budget if change else None) or policy.change_budget or Budget()


def tokens_of(usage: Usage) -> int:
    """Input and output tokens together."""
    return usage.input_tokens + usage.output_tokens


def _granted(gates: Sequence[Gate]) -> Budget | None:
    passed = [
        g for g in gates if g.kind == GateKind.BUDGET and g.status in PASSED and g.parameters and g.parameters.budget
    ]
    newest = max(passed, key=opened, default=None)
    return newest.parameters.budget if newest and newest.parameters else None


def _cap(asked: int, cap: int, agent: bool) -> int:
    if not asked:
        return cap if agent else 0
    return min(asked, cap) if cap else asked


def _fit(wanted: int, limit: int, committed: int, agent: bool, unit: str) -> int:
    if not limit:
        return wanted
    left = limit - committed
    if agent and not wanted:
        wanted = max(left, 1)
    if wanted > left:
        raise Refused(
            f"the change has {max(left, 0)} of {limit} {unit} left, the work needs {wanted}",
            field="budget",
            remedy="Approve a BUDGET gate with a new budget, or raise the policy's change_budget",
            reason="BUDGET_EXHAUSTED",
        )
    return wanted
