"""How the control plane is doing: what waits, what stands still, and what is left of the tenant's budget."""

from __future__ import annotations

from ameide.architect.tools.arguments import Arguments, schema
from ameide.architect.tools.citing import Cited
from ameide.architect.tools.rendering import clipped, facts, moment, one_line, who, word
from ameide.architect.tools.tool import Tool, ToolAnswer, ToolContext
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetStatusRequest, GetTenantBudgetRequest
from ameide_core_proto.transformation.work.v1.work_pb import Budget

_STUCK = 20


async def _status(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    del arguments
    answer = await ctx.clients.queries.get_status(GetStatusRequest(scope=ctx.scope))
    counts = facts(
        ("open gates", str(answer.open_gates)),
        ("open runs", str(answer.open_runs)),
        ("runs in line", str(answer.queued_runs)),
        ("parked messages", str(answer.parked_messages)),
        ("works ready", str(sum(queue.ready for queue in answer.queues))),
    )
    lines = [
        clipped(
            facts(
                ("stands still", f"{word(one.kind.name)} {one.subject}"),
                ("change", one.change_id),
                ("for seconds", int(one.age_seconds)),
                ("waiting", one.waiting),
                ("reason", one.reason),
            ),
            400,
        )
        for one in answer.stuck[:_STUCK]
    ]
    notes = [
        counts,
        "these are observations of now and no records; gates, runs and works have records of their own",
    ]
    if len(answer.stuck) > _STUCK:
        notes.append(f"{len(answer.stuck) - _STUCK} more stand still")
    source = "status" if lines else ""
    return ToolAnswer(
        uncited="\n".join(lines), uncited_from=source, notes=tuple(notes), log_position=answer.log_position
    )


async def _budget(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    del arguments
    answer = await ctx.clients.queries.get_tenant_budget(
        GetTenantBudgetRequest(scope=ctx.scope, min_position=ctx.min_position)
    )
    cited = Cited(answer.read_context, answer.citations)
    now = f"used: {_amount(answer.used)}; held for open works: {_amount(answer.reserved)}"
    if (allotted := answer.tenant_budget) is None:
        cited.notes.append(f"no budget was allotted, so that the tenant has no limit; {now}")
        return cited.answer()
    tenant = allotted.scope.tenant_id if allotted.scope else ""
    text = facts(
        ("allotted", _amount(allotted.budget)),
        ("period", word(allotted.period.name)),
        ("by", who(allotted.allotted_by)),
        ("at", moment(allotted.allotted_at)),
        ("comment", one_line(allotted.comment)),
    )
    source = "comment of the budget" if allotted.comment else ""
    cited.fact(f"tenant_budget:{tenant}", "budget of the tenant", f"{text}; {now}", untrusted=source)
    return cited.answer()


def _amount(budget: Budget | None) -> str:
    if budget is None:
        return "nothing"
    tokens = f"{budget.max_tokens} tokens" if budget.max_tokens else ""
    cost = f"{budget.max_cost_micros} millionths of the currency" if budget.max_cost_micros else ""
    return " and ".join(filter(None, (tokens, cost))) or "no limit"


TOOLS = (
    Tool("get_status", "What waits and what stands still now: gates, runs, queues, consumers.", schema(), _status),
    Tool("get_budget", "What the tenant may use, has used and still holds, in tokens and cost.", schema(), _budget),
)
