"""Tokens, money and time as people read them."""

from __future__ import annotations

from collections.abc import Sequence

from ameide.cli.output import coloured, heading, table, word
from ameide_core_proto.transformation.governance.v1.query_service_pb import Cost, StepCost
from ameide_core_proto.transformation.work.v1.work_pb import Budget, FailureCode, Usage

_HEADERS = ("RUN", "STEP", "#", "TRIES", "TOKENS IN", "OUT", "COST", "WAITED", "TOOK", "STATUS")


def print_costs(steps: Sequence[StepCost], runs: Sequence[Cost], total: Cost | None) -> None:
    """What each step took, then each run where there are several, then all; nothing when nothing was asked for."""
    if not steps or total is None:
        return
    heading("Cost")
    rows = [_step(step) for step in steps]
    if len(runs) > 1:
        rows += [_sum(f"run {run.run_number}", run) for run in runs]
    table(_HEADERS, [*rows, _sum("total", total)])


def money(micros: int) -> str:
    """Millionths of the accounting currency, with as many digits as say something."""
    return f"{micros / 1_000_000:.4f}" if micros else "0"


def span(milliseconds: int) -> str:
    """A length of time in the largest unit that fits, and the next one."""
    seconds = round(milliseconds / 1000)
    if seconds < 60:
        return f"{milliseconds / 1000:.1f}s"
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes}m{seconds:02}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02}m"


def limit(budget: Budget | None) -> str:
    """A budget in words; what is not limited is left out."""
    budget = budget or Budget()
    parts = [f"{budget.max_tokens} tokens"] if budget.max_tokens else []
    parts += [f"{money(budget.max_cost_micros)} of money"] if budget.max_cost_micros else []
    return " and ".join(parts) or "no limit"


def _step(step: StepCost) -> tuple[str, ...]:
    status = word(step.status.name)
    failed = f" ({word(step.failure_code.name)})" if step.failure_code != FailureCode.UNSPECIFIED else ""
    return (
        str(step.run_number or ""),
        step.step,
        str(step.iteration or ""),
        str(step.attempts),
        *_numbers(step.usage, step.queue_wait_ms, step.wall_time_ms),
        f"reused from {step.reused_from}" if step.reused_from else coloured(status) + failed,
    )


def _sum(name: str, cost: Cost) -> tuple[str, ...]:
    numbers = _numbers(cost.usage, cost.queue_wait_ms, cost.wall_time_ms)
    return ("", name, "", "", *numbers, f"{cost.works} works")


def _numbers(usage: Usage | None, queued: int, held: int) -> tuple[str, ...]:
    usage = usage or Usage()
    return str(usage.input_tokens), str(usage.output_tokens), money(usage.cost_micros), span(queued), span(held)
