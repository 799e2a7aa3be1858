"""`ameide budget`: what all works of the tenant may use together."""

from __future__ import annotations

import click

from ameide.cli.cost_view import limit
from ameide.cli.options import as_json, named, request_id, spelled
from ameide.cli.output import clock, emit_json, facts
from ameide.cli.session import Session, pass_session
from ameide.cli.session import request_id as key_for
from ameide.cli.watching import seen
from ameide.rpc.clients import Clients
from ameide_core_proto.transformation.governance.v1.command_service_pb import (
    AllotTenantBudgetRequest,
    AllotTenantBudgetResponse,
)
from ameide_core_proto.transformation.governance.v1.governance_pb import BudgetPeriod, TenantBudget
from ameide_core_proto.transformation.governance.v1.query_service_pb import (
    GetTenantBudgetRequest,
    GetTenantBudgetResponse,
)
from ameide_core_proto.transformation.work.v1.work_pb import Budget

_PERIODS = {BudgetPeriod.CALENDAR_MONTH: "a calendar month (UTC)", BudgetPeriod.IN_ALL: "in all"}


@click.group()
def budget() -> None:
    """The tenant's budget: tokens and money that agents may use in all changes together."""


@budget.command()
@as_json
@pass_session
def show(session: Session, as_json: bool) -> None:
    """What was allotted, what agents have used of it, and what open works hold."""
    answer = session.call(lambda clients: _get(session, clients))
    if as_json:
        emit_json(answer)
        return
    allotted, used, held = answer.tenant_budget, answer.used or Budget(), answer.reserved or Budget()
    facts(
        [
            ("budget", _words(allotted)),
            ("by", f"{allotted.allotted_by.principal_id}" if allotted and allotted.allotted_by else ""),
            ("comment", allotted.comment if allotted else ""),
            ("counted from", clock(answer.counted_from)),
            ("used", _amount(used)),
            ("held", _amount(held)),
            ("left", _left(allotted, used, held)),
        ]
    )


@budget.command("set")
@click.option("--tokens", type=click.IntRange(min=0), help="Tokens, input and output together; 0 is no limit.")
@click.option("--cost-micros", type=click.IntRange(min=0), help="Money, in millionths; 0 is no limit.")
@click.option("--period", type=spelled([period.name for period in BudgetPeriod]), help="What it is for.")
@click.option("--comment", default="", help="Why; it is recorded.")
@request_id
@as_json
@pass_session
def set_(
    session: Session,
    tokens: int | None,
    cost_micros: int | None,
    period: str | None,
    comment: str,
    request_id: str | None,
    as_json: bool,
) -> None:
    """Allot a budget, as operator or admin. What is left out stays as it is; at first it has no limit, for a month."""
    if tokens is None and cost_micros is None and period is None:
        raise click.UsageError("Say what to set: --tokens, --cost-micros or --period.")
    key = key_for(request_id)

    async def act(clients: Clients) -> AllotTenantBudgetResponse:
        former = (await _get(session, clients)).tenant_budget or TenantBudget(period=BudgetPeriod.CALENDAR_MONTH)
        had = former.budget or Budget()
        command = AllotTenantBudgetRequest(
            scope=session.scope,
            client_request_id=key,
            expected_version=former.version,
            budget=Budget(
                max_tokens=had.max_tokens if tokens is None else tokens,
                max_cost_micros=had.max_cost_micros if cost_micros is None else cost_micros,
            ),
            period=BudgetPeriod[named(period)] if period else former.period,
            comment=comment,
        )
        wanted = (command.budget, command.period, command.comment)
        if former.version and wanted == (had, former.period, former.comment):
            # Said again, it is as it was.
            return AllotTenantBudgetResponse(tenant_budget=former, idempotent_replay=True)
        answer = await clients.governance.allot_tenant_budget(command)
        if answer.tenant_budget is not None:
            await seen(session, clients, answer.tenant_budget)
        return answer

    answer = session.call(act)
    if as_json:
        emit_json(answer)
    else:
        click.echo(f"The tenant may use {_words(answer.tenant_budget)}.")


async def _get(session: Session, clients: Clients) -> GetTenantBudgetResponse:
    return await clients.queries.get_tenant_budget(GetTenantBudgetRequest(scope=session.scope))


def _words(allotted: TenantBudget | None) -> str:
    if allotted is None:
        return limit(None)
    return f"{limit(allotted.budget)}, {_PERIODS.get(allotted.period, '')}"


def _amount(amount: Budget) -> str:
    return limit(amount) if amount != Budget() else "nothing"


def _left(allotted: TenantBudget | None, used: Budget, held: Budget) -> str:
    total = (allotted.budget if allotted else None) or Budget()
    tokens = max(total.max_tokens - used.max_tokens - held.max_tokens, 0)
    cost = max(total.max_cost_micros - used.max_cost_micros - held.max_cost_micros, 0)
    told = [f"{tokens} tokens"] if total.max_tokens else []
    told += [f"{cost / 1_000_000:.4f} of money"] if total.max_cost_micros else []
    return " and ".join(told)
