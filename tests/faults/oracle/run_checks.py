"""Runs: every fact of an open run was heard by it, in order, and moved it once."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from temporalio.client import Client

from ameide_core_proto.process.transformation.v1.facts_pb import (
    ActivityTransition,
    ActivityTransitioned,
    GateDecisionRecorded,
    TransformationProcessFact,
)
from tests.faults.oracle.database import Row, Snapshot
from tests.faults.oracle.histories import heard
from tests.faults.oracle.verdict import Verdict

AT_ONCE = 16
Key = tuple[str, str]


@dataclass
class Told:
    """What a run has said about its course."""

    places: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    # Which works a step was begun with, which facts ended what.
    begun: dict[tuple[str, int], list[str]] = field(default_factory=dict[tuple[str, int], list[str]])
    ended: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    by_fact: dict[str, list[str]] = field(default_factory=dict[str, list[str]])


async def check_process_facts(base: Snapshot, verdict: Verdict) -> None:
    """Numbered without gaps in every epoch, told in their order; a step has one work, a fact ends one thing."""
    await _remembered(base, verdict)
    runs: dict[Key, Told] = defaultdict(Told)
    said = "SELECT tenant_id, process_instance_id, payload FROM ameide.log WHERE kind = 'process_fact'"
    async for row in base.stream(f"{said} ORDER BY position"):
        _note(runs[row["tenant_id"], row["process_instance_id"]], row)
    about = await base.rows(
        "SELECT message_id, aggregate_id FROM ameide.log WHERE kind = 'fact' AND aggregate_type IN ('work', 'gate')"
    )
    subjects = {row["message_id"]: row["aggregate_id"] for row in about}
    for (_, run), told in runs.items():
        _places(run, told, verdict)
        _course(run, told, subjects, verdict)
    await _untold(base, runs, verdict)


async def _remembered(base: Snapshot, verdict: Verdict) -> None:
    differing = """
        SELECT coalesce(s.process_instance_id, l.process_instance_id) AS run, s.n AS seen, l.n AS logged
        FROM (SELECT tenant_id, process_instance_id, count(*) AS n FROM ameide.process_fact_seen GROUP BY 1, 2) AS s
        FULL JOIN (SELECT tenant_id, process_instance_id, count(*) AS n FROM ameide.log
            WHERE kind = 'process_fact' GROUP BY 1, 2) AS l USING (tenant_id, process_instance_id)
        WHERE s.n IS DISTINCT FROM l.n ORDER BY 1"""
    for row in await base.rows(differing):
        verdict.lost.append(f"run {row['run']}: {row['seen']} process facts were taken, {row['logged']} are in the log")


def _note(told: Told, row: Row) -> None:
    fact = TransformationProcessFact.from_binary(bytes(row["payload"]))
    told.places.append((fact.run_epoch, fact.seq))
    body = fact.fact.value if fact.fact else None
    if isinstance(body, ActivityTransitioned):
        step = f"{body.activity}/{body.iteration}"
        if body.transition == ActivityTransition.STARTED:
            told.begun.setdefault((body.activity, body.iteration), []).append(body.work_request_id)
        elif body.work_request_id:
            told.ended.setdefault(body.work_request_id, []).append(step)
            told.by_fact.setdefault(body.fact_message_id, []).append(body.work_request_id)
    elif isinstance(body, GateDecisionRecorded):
        told.by_fact.setdefault(body.fact_message_id, []).append(body.gate_id)


def _places(run: str, told: Told, verdict: Verdict) -> None:
    twice = sorted(place for place, times in Counter(told.places).items() if times > 1)
    if twice:
        verdict.doubled.append(f"run {run} has more than one process fact at {twice}")
    elif told.places != sorted(told.places):
        verdict.lost.append(f"run {run}: the order of its process facts, which lie as {told.places}")
    for epoch in {epoch for epoch, _ in told.places}:
        numbers = {seq for of, seq in told.places if of == epoch}
        missing = sorted(set(range(1, max(numbers) + 1)) - numbers)
        if missing:
            verdict.lost.append(f"run {run} has no process facts {missing} of epoch {epoch}")


def _course(run: str, told: Told, subjects: dict[str, str], verdict: Verdict) -> None:
    for (activity, iteration), works in told.begun.items():
        if len(works) > 1:
            verdict.doubled.append(f"run {run} began {activity}/{iteration} with the works {', '.join(works)}")
    for work, steps in told.ended.items():
        if len(steps) > 1:
            verdict.doubled.append(f"run {run} took the end of work {work} for that of {', '.join(steps)}")
    for fact, ended in told.by_fact.items():
        if len(ended) > 1:
            verdict.doubled.append(f"run {run} took fact {fact} for the end of {', '.join(ended)}")
        foreign = [one for one in ended if fact and subjects.get(fact) != one]
        if foreign:
            verdict.doubled.append(
                f"run {run} took fact {fact} of {subjects.get(fact, 'nothing')} for the end of {', '.join(foreign)}"
            )


async def _untold(base: Snapshot, runs: dict[Key, Told], verdict: Verdict) -> None:
    """Works that were requested in the name of an open run, of which the run knows nothing."""
    requested = """
        SELECT w.tenant_id, w.process_instance_id AS run, w.work_request_id FROM ameide.work w
        JOIN ameide.aggregate r ON r.tenant_id = w.tenant_id AND r.kind = 'run' AND r.id = w.process_instance_id
        WHERE r.status = 'OPEN' ORDER BY 1, 2, 3"""
    for row in await base.rows(requested):
        told = runs.get((row["tenant_id"], row["run"]), Told())
        if not any(row["work_request_id"] in works for works in told.begun.values()):
            verdict.doubled.append(f"work {row['work_request_id']} of run {row['run']} is none that the run has begun")


async def check_heard(base: Snapshot, client: Client, verdict: Verdict) -> None:
    """An open run has heard all of its facts, a closed one the first of them; both in the order of the log.

    Where Kafka carries facts, each aggregate's are in a partition of their own topic: between those there is no order.
    A work's beginning is heard with any later fact of the work, which carries the whole of its state.
    """
    stated = """
        SELECT r.id AS run, r.status = 'OPEN' AS is_open,
            array_agg(l.message_id ORDER BY l.position) AS ids, array_agg(l.name ORDER BY l.position) AS names,
            array_agg(l.work_request_id ORDER BY l.position) AS works,
            array_agg(CASE WHEN l.topic IN (SELECT topic FROM ameide.carriage WHERE by_kafka)
                THEN l.aggregate_type || ' ' || l.aggregate_id ELSE '' END ORDER BY l.position) AS lines
        FROM ameide.aggregate r JOIN ameide.log l ON l.tenant_id = r.tenant_id AND l.process_instance_id = r.id
            AND l.kind = 'fact'
        WHERE r.kind = 'run' GROUP BY r.tenant_id, r.id, r.status ORDER BY 1"""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(row: Row) -> None:
        async with places:
            await _heard(client, row, verdict)

    await asyncio.gather(*[one(row) for row in await base.rows(stated)])


async def _heard(client: Client, row: Row, verdict: Verdict) -> None:
    run: str = row["run"]
    ids: list[str] = row["ids"]
    found = await heard(client, run)
    if found is None:
        if row["is_open"]:
            verdict.lost.append(f"run {run} is open and has no workflow")
        return
    first_time = list(dict.fromkeys(found.message_ids))
    names = dict(zip(ids, row["names"], strict=True))
    unknown = [message for message in first_time if message not in names]
    if unknown:
        verdict.doubled.append(f"run {run} has heard {', '.join(unknown)}, which the log does not have")
    taken_along = included(ids, names, row["works"], set(first_time))
    lines: dict[str, list[str]] = defaultdict(list)
    for message, line in zip(ids, row["lines"], strict=True):
        if message not in taken_along:
            lines[line].append(message)
    for line in lines.values():
        missing, known = misheard(line, first_time, whole=row["is_open"])
        if missing:
            said = ", ".join(f"{message} ({names[message]})" for message in missing)
            verdict.lost.append(f"run {run} has not heard {said}")
        elif known:
            verdict.lost.append(f"run {run}: the order of its facts, which it heard as {', '.join(known)}")


def misheard(line: list[str], told: list[str], *, whole: bool) -> tuple[list[str], list[str]]:
    """Of facts in their order: what was not heard, and what was heard, if in another order.

    Not `whole`: only those up to the last that was heard count.
    """
    known = [message for message in told if message in line]
    expected = line if whole else line[: max((line.index(message) for message in known), default=-1) + 1]
    return [message for message in expected if message not in known], known if known != expected else []


def included(ids: list[str], names: dict[str, str], works: list[str], known: set[str]) -> set[str]:
    """The beginnings of works that were not signalled themselves, since a later fact of the work was."""
    found, later = set[str](), set[str]()
    for message, work in reversed(list(zip(ids, works, strict=False))):
        if message in known:
            later.add(work)
        elif names[message] in ("WorkRequested", "WorkStarted") and work in later:
            found.add(message)
    return found
