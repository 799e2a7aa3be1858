"""Budgets: what works may use of what their change and their tenant have, and what is left of it (contracts 4).

A work holds what it reserved until it ends. An attempt that is lost or given back has used a part of that, and the next
attempt may use the rest: what a work holds and has used never adds up to more than it reserved.

A conversation holds nothing, since an answer has no price before it is there. It goes on until a budget is used up,
whatever open works hold of it: a coder that holds all the rest must not keep people from asking how it gets on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ameide.contracts.usage import added, spent
from ameide.domain.decisions.gate import PASSED, opened
from ameide.domain.decisions.work import ENDED, Claim
from ameide.errors import Refused
from ameide_core_proto.transformation.governance.v1.governance_pb import Change, Gate
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind, Policy
from ameide_core_proto.transformation.work.v1.work_pb import Budget, Usage, WorkKind, WorkRequest

_REASON = "BUDGET_EXHAUSTED"
# Fields of a budget, and what they count.
UNITS = {"max_tokens": "tokens", "max_cost_micros": "cost_micros"}


@dataclass(frozen=True, slots=True)
class Account:
    """A limit that works share, in tokens and in millionths of the currency; 0 is no limit.

    `used` is of attempts that ended and of conversations, `held` what works that are open may still use.
    """

    whose: str
    limit: Budget
    used: Budget
    held: Budget
    remedy: str

    def left(self, unit: str) -> int | None:
        """What nobody has used or holds, below zero when more was used than allowed; None without a limit."""
        limit = int(getattr(self.limit, unit))
        return limit - int(getattr(self.used, unit)) - int(getattr(self.held, unit)) if limit else None

    def unused(self, unit: str) -> int | None:
        """What nobody has used, though works may hold it; below zero and None as `left`."""
        limit = int(getattr(self.limit, unit))
        return limit - int(getattr(self.used, unit)) if limit else None


def is_counted(work: WorkRequest) -> bool:
    """Whether a work counts against budgets: agent work does, and a tool run that asked for one."""
    return work.work_kind == WorkKind.AGENT_WORK or (work.budget or Budget()) != Budget()


def reserve(
    work: WorkRequest,
    policy: Policy,
    change: Change | None,
    gates: Sequence[Gate],
    works: Sequence[WorkRequest],
    claims: Sequence[Claim],
    tenant: Account | None = None,
    talked: Usage | None = None,
) -> Budget:
    """What the work may use. The change must be locked, and the tenant's account where it has one.

    A work asks for no more than the policy's budget for one work, unless a person granted the change another budget in
    this run. Agent work that names no limit gets the policy's, else what is left. Raises Refused(BUDGET_EXHAUSTED) when
    it doesn't fit.
    """
    accounts = [account_of(policy, change, works, claims, talked), *([tenant] if tenant else [])]
    cap = Budget() if _granted(gates) else policy.work_budget or Budget()
    asked = work.budget or Budget()
    agent = work.work_kind == WorkKind.AGENT_WORK

    def fit(unit: str) -> int:
        limit, wanted = int(getattr(cap, unit)), int(getattr(asked, unit))
        if not wanted:
            wanted = limit if agent else 0
        return _fit(min(wanted, limit) if limit else wanted, accounts, agent, unit)

    return Budget(max_tokens=fit("max_tokens"), max_cost_micros=fit("max_cost_micros"))


def account_of(
    policy: Policy,
    change: Change | None,
    works: Sequence[WorkRequest],
    claims: Sequence[Claim],
    talked: Usage | None = None,
) -> Account:
    """What a change may use, by all of its works and their claims and what was `talked` about it."""
    open_works = {work.work_request_id: work for work in works if work.status not in ENDED}
    running = dict.fromkeys(open_works, Usage())
    ended: list[Usage] = [talked] if talked else []
    for claim in claims:
        if claim.ended_at is None and claim.work_request_id in running:
            running[claim.work_request_id] = claim.usage
        else:
            ended.append(claim.usage)
    held = Budget()
    for id, usage in running.items():
        reserved, now = open_works[id].budget or Budget(), spent(usage)
        held.max_tokens += max(reserved.max_tokens, now.max_tokens)
        held.max_cost_micros += max(reserved.max_cost_micros, now.max_cost_micros)
    remedy = "Approve a BUDGET gate with a new budget, or raise the policy's change_budget"
    return Account("change", limit_of(policy, change), spent(added(ended)), held, remedy)


def limit_of(policy: Policy, change: Change | None) -> Budget:
    """What all works of a change may use together; 0 is no limit. What was granted, or the policy's if that is more."""
    granted, given = (change.budget if change else None) or Budget(), policy.change_budget or Budget()

    def higher(unit: str) -> int:
        own, policys = int(getattr(granted, unit)), int(getattr(given, unit))
        return max(own, policys) if own and policys else own or policys

    return Budget(max_tokens=higher("max_tokens"), max_cost_micros=higher("max_cost_micros"))


def rest(work: WorkRequest, usage: Usage) -> Budget | None:
    """What the next attempt of a work may use after one that used so much; None when that is nothing."""
    reserved, used = work.budget or Budget(), spent(usage)
    left = Budget()
    for unit in UNITS:
        limit = int(getattr(reserved, unit))
        if limit:
            # 0 would be no limit.
            if limit <= int(getattr(used, unit)):
                return None
            setattr(left, unit, limit - int(getattr(used, unit)))
    return left


def need_unused(accounts: Sequence[Account]) -> None:
    """Whether a model may be asked. Raises Refused(BUDGET_EXHAUSTED) once one of them is used up."""
    for account in accounts:
        for unit, name in UNITS.items():
            unused = account.unused(unit)
            if unused is not None and unused <= 0:
                raise Refused(
                    f"the {account.whose} has used all of its {getattr(account.limit, unit)} {name}",
                    remedy=account.remedy,
                    reason=_REASON,
                )


def unused_of(accounts: Sequence[Account]) -> Budget:
    """What all of them leave; 0 is no limit, so what is used up is told as 1."""

    def least(unit: str) -> int:
        unused = [left for account in accounts if (left := account.unused(unit)) is not None]
        return max(min(unused), 1) if unused else 0

    return Budget(max_tokens=least("max_tokens"), max_cost_micros=least("max_cost_micros"))


def _granted(gates: Sequence[Gate]) -> bool:
    passed = [g for g in gates if g.kind == GateKind.BUDGET and g.status in PASSED]
    newest = max(passed, key=opened, default=None)
    return newest is not None and newest.parameters is not None and newest.parameters.budget is not None


def _fit(wanted: int, accounts: Sequence[Account], agent: bool, unit: str) -> int:
    limited = [(left, account) for account in accounts if (left := account.left(unit)) is not None]
    if agent and not wanted and limited:
        wanted = max(min(left for left, _ in limited), 1)
    for left, account in limited:
        if wanted > left:
            raise Refused(
                f"the {account.whose} has {max(left, 0)} of {getattr(account.limit, unit)} {UNITS[unit]} left "
                f"({getattr(account.held, unit)} are held by open works), the work needs {wanted}",
                field="budget",
                remedy=account.remedy,
                reason=_REASON,
            )
    return wanted
