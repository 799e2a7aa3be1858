"""What a BUDGET gate may grant: more than was spent, within what the policy lets its deciders grant (contracts 5)."""

from __future__ import annotations

from ameide.domain.decisions.gate import OVERRIDE_ROLES, Voice
from ameide.domain.decisions.work_budget import UNITS, Account
from ameide.errors import PermissionDenied, Refused
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.work.v1.work_pb import Budget

_OPTIONS = {"max_tokens": "--budget-tokens", "max_cost_micros": "--budget-cost-micros"}


def need_grant(granted: Budget | None, change: Account, tenant: Account | None, policy: Policy, voice: Voice) -> None:
    """Approving without a budget, or with one that leaves nothing, would bring the run back here at once.

    A budget is what the change may use in all, what it has used included. Raises Refused (BUDGET_NEEDED,
    BUDGET_TOO_SMALL, BUDGET_EXHAUSTED of the tenant) or PermissionDenied(GRANT_LIMIT).
    """
    given = granted or Budget()
    if given == Budget():
        raise Refused(
            f"approving grants the change a budget, and none is given; it has used {_told(change.used)}",
            field="parameters.budget",
            remedy="Say what it may use in all, with --budget-tokens or --budget-cost-micros",
            reason="BUDGET_NEEDED",
        )
    for unit, name in UNITS.items():
        wanted = int(getattr(given, unit))
        committed = int(getattr(change.used, unit)) + int(getattr(change.held, unit))
        if wanted or int(getattr(change.limit, unit)):
            _need_more(wanted or int(getattr(change.limit, unit)), committed, unit, name)
        most = int(getattr(policy.grant_limit, unit)) if policy.grant_limit else 0
        if most and wanted > most and not voice.roles & OVERRIDE_ROLES:
            raise PermissionDenied(
                f"the policy lets the deciders of this gate grant up to {most} {name}",
                field="parameters.budget",
                remedy="Grant less, or ask an operator or admin",
                reason="GRANT_LIMIT",
            )
    _need_left_of(tenant)


def _need_more(limit: int, committed: int, unit: str, name: str) -> None:
    if limit <= committed:
        raise Refused(
            f"{limit} {name} leave nothing: {committed} are used or held",
            field="parameters.budget",
            remedy=f"Grant more than that, with {_OPTIONS[unit]}",
            reason="BUDGET_TOO_SMALL",
        )


def _need_left_of(tenant: Account | None) -> None:
    for unit in UNITS:
        left = tenant.left(unit) if tenant else None
        if tenant is not None and left is not None and left <= 0:
            raise Refused(
                f"the tenant has none of its {getattr(tenant.limit, unit)} {UNITS[unit]} left",
                remedy=tenant.remedy,
                reason="BUDGET_EXHAUSTED",
            )


def _told(used: Budget) -> str:
    return f"{used.max_tokens} tokens and {used.max_cost_micros} cost_micros"
