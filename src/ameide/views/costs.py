"""What each delegated step took: tokens and money, the wait in its queue, the time that executors held it.

Works are read from the projection; what their attempts used comes from the attempts' own rows, read now.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ameide.contracts.ids import parse_process_instance_id
from ameide.contracts.usage import added
from ameide.storage.db import Row
from ameide.storage.sql import load
from ameide.views.reading import Reading
from ameide_core_proto.common.v1.reading_pb import CitationKind
from ameide_core_proto.transformation.governance.v1.query_service_pb import Cost, StepCost
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode, Usage, WorkRequest

_SQL = load("views")


@dataclass(frozen=True, slots=True)
class Costs:
    """Of a change: its steps in the order of their works, its runs in theirs, and all of it."""

    steps: list[StepCost]
    runs: list[Cost]
    total: Cost


async def costs_of(reading: Reading, change_id: str, works: Sequence[WorkRequest]) -> Costs:
    """What the works of a change took until now, and which results its runs took from earlier ones, cited."""
    ids = [work.work_request_id for work in works]
    rows = await reading.tx.fetch_all(_SQL["attempts"], {"works": ids}) if ids else []
    by_work: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_work[row["work_request_id"]].append(row)
    done = [step_cost(work, by_work[work.work_request_id], reading.tx.now) for work in works]
    return summed([*await _taken(reading, change_id, works), *done])


async def _taken(reading: Reading, change_id: str, works: Sequence[WorkRequest]) -> list[StepCost]:
    """The steps that a run did not do since an earlier one had; what proves it is the process fact that says so."""
    by_id = {work.work_request_id: work for work in works}
    taken: list[StepCost] = []
    for row in await reading.tx.fetch_all(_SQL["reused"], {"change": change_id}):
        work = by_id.get(row["work_request_id"])
        if work is None:
            continue
        reading.cite(CitationKind.PROCESS_FACT, row["message_id"], row["position"])
        step = step_cost(work, [], reading.tx.now)
        step.reused_from, step.process_instance_id = work.process_instance_id, row["process_instance_id"]
        run = parse_process_instance_id(row["process_instance_id"])
        step.run_number, step.budget = run[2] if run else 0, None
        taken.append(step)
    return taken


def step_cost(work: WorkRequest, attempts: Sequence[Row], now: datetime) -> StepCost:
    """One work, over all of its attempts; one that runs is counted until `now`."""
    step, iteration = _activity(work)
    run = parse_process_instance_id(work.process_instance_id)
    held = sum(((row["ended_at"] or now) - row["claimed_at"]).total_seconds() for row in attempts)
    return StepCost(
        run_number=run[2] if run else 0,
        process_instance_id=work.process_instance_id,
        step=step,
        iteration=iteration,
        work_request_id=work.work_request_id,
        status=work.status,
        failure_code=work.result.failure_code if work.result else FailureCode.UNSPECIFIED,
        attempts=len(attempts),
        usage=added(Usage.from_binary(row["usage"]) for row in attempts),
        queue_wait_ms=sum(row["queue_wait_ms"] for row in attempts),
        wall_time_ms=round(held * 1000),
        budget=work.budget,
    )


def summed(steps: Sequence[StepCost]) -> Costs:
    """The same by run, and in all; in a run what it took from another one comes first."""
    steps = sorted(steps, key=lambda step: step.run_number)
    by_run: dict[str, list[StepCost]] = defaultdict(list)
    for step in steps:
        if step.process_instance_id:
            by_run[step.process_instance_id].append(step)
    runs = [_cost(of_run, run, of_run[0].run_number) for run, of_run in by_run.items()]
    return Costs(list(steps), sorted(runs, key=lambda cost: cost.run_number), _cost(steps))


def _cost(steps: Sequence[StepCost], run: str = "", number: int = 0) -> Cost:
    return Cost(
        process_instance_id=run,
        run_number=number,
        works=sum(not step.reused_from for step in steps),
        usage=added(step.usage for step in steps if step.usage),
        queue_wait_ms=sum(step.queue_wait_ms for step in steps),
        wall_time_ms=sum(step.wall_time_ms for step in steps),
    )


def _activity(work: WorkRequest) -> tuple[str, int]:
    """The step and how often its run asked for it, as its key says; a work of no run goes by its action."""
    prefix = f"{work.process_instance_id}/"
    asked = work.client_request_id.removeprefix(prefix)
    name, _, number = asked.rpartition("/")
    if work.process_instance_id and asked != work.client_request_id and number.isdecimal():
        return name, int(number)
    return work.action_kind.name.lower(), 0
