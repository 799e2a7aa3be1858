"""Works: one accepted outcome each, effects under attempts of their own, invitations that fit."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from ameide_core_proto.transformation.work.v1.work_pb import WorkRequest
from tests.faults.oracle.database import Row, Snapshot
from tests.faults.oracle.folder import Effect
from tests.faults.oracle.verdict import Verdict

ENDINGS = ("WorkCompleted", "WorkFailed", "WorkCanceled")
ENDED = ("succeeded", "failed", "canceled")
Key = tuple[str, str]


@dataclass
class Work:
    """Everything that the database has about a work."""

    row: Row
    facts: list[str] = field(default_factory=list[str])
    attempts: list[Row] = field(default_factory=list[Row])
    bundles: int = 0
    # The dispatch of the invitation that waits in its queue.
    invited: int | None = None


async def check_works(base: Snapshot, effects: list[Effect] | None, verdict: Verdict) -> None:
    """Each work by itself, then what executors did, then the keys of the requests."""
    works = await _read(base, verdict)
    for (_, name), work in works.items():
        _facts(name, work, verdict)
        _attempts(name, work, verdict)
        _invitation(name, work, verdict)
    if effects is not None:
        _effects(works, effects, verdict)
    _requests(works, verdict)


async def _read(base: Snapshot, verdict: Verdict) -> dict[Key, Work]:
    rows = await base.rows("SELECT * FROM ameide.work ORDER BY tenant_id, work_request_id")
    works = {(row["tenant_id"], row["work_request_id"]): Work(row) for row in rows}
    stated = """
        SELECT tenant_id, aggregate_id, array_agg(name ORDER BY position) AS names FROM ameide.log
        WHERE kind = 'fact' AND aggregate_type = 'work' GROUP BY 1, 2"""
    for row in await base.rows(stated):
        if work := works.get((row["tenant_id"], row["aggregate_id"])):
            work.facts = row["names"]
    attempts = "SELECT tenant_id, work_request_id, attempt, ended_at, ended_by FROM ameide.attempt ORDER BY 1, 2, 3"
    for row in await base.rows(attempts):
        if work := _of(works, row, f"attempt {row['attempt']}", verdict):
            work.attempts.append(row)
    for row in await base.rows("SELECT tenant_id, work_request_id, count(*) AS n FROM ameide.evidence GROUP BY 1, 2"):
        if work := _of(works, row, "an evidence bundle", verdict):
            work.bundles = row["n"]
    for row in await base.rows("SELECT tenant_id, work_request_id, dispatch FROM ameide.queue_item"):
        if work := _of(works, row, f"invitation {row['dispatch']}", verdict):
            work.invited = row["dispatch"]
    return works


def _of(works: dict[Key, Work], row: Row, what: str, verdict: Verdict) -> Work | None:
    work = works.get((row["tenant_id"], row["work_request_id"]))
    if work is None:
        verdict.lost.append(f"work {row['work_request_id']} of {row['tenant_id']} is gone, {what} of it is there")
    return work


def _facts(name: str, work: Work, verdict: Verdict) -> None:
    ends = [fact for fact in work.facts if fact in ENDINGS]
    status = work.row["status"]
    if len(ends) > 1:
        verdict.doubled.append(f"work {name} has ended {len(ends)} times: {', '.join(ends)}")
    if status in ENDED and not ends:
        verdict.lost.append(f"work {name} is {status}, no fact says so")
    if status not in ENDED and ends:
        verdict.doubled.append(f"work {name} is {status} although {ends[0]} was stated")


def _attempts(name: str, work: Work, verdict: Verdict) -> None:
    numbers = [row["attempt"] for row in work.attempts]
    if numbers != list(range(1, work.row["attempt"] + 1)):
        verdict.lost.append(f"work {name} is at attempt {work.row['attempt']}, its claims are {numbers}")
    starts = work.facts.count("WorkStarted")
    if starts < len(numbers):
        verdict.lost.append(f"work {name} was claimed {len(numbers)} times and started {starts} times")
    if starts > len(numbers):
        verdict.doubled.append(f"work {name} was started {starts} times by {len(numbers)} claims")
    accepted = [row["attempt"] for row in work.attempts if row["ended_by"] in ENDED]
    if len(accepted) > 1:
        verdict.doubled.append(f"work {name} has outcomes of the attempts {accepted}")
    if work.bundles > max(len(accepted), 1):
        verdict.doubled.append(f"work {name} has {work.bundles} evidence bundles")
    elif work.bundles != len(accepted):
        verdict.lost.append(f"work {name} has {len(accepted)} accepted outcomes and {work.bundles} evidence bundles")
    if "WorkCompleted" in work.facts and not accepted:
        verdict.lost.append(f"work {name} is completed, no attempt of it is")
    running = [row["attempt"] for row in work.attempts if row["ended_at"] is None]
    if len(running) > 1:
        verdict.doubled.append(f"work {name} runs in the attempts {running}")
    if running and work.row["status"] != "started":
        verdict.doubled.append(f"work {name} is {work.row['status']}, attempt {running[0]} still holds its lease")
    if not running and work.row["status"] == "started":
        verdict.lost.append(f"work {name} is started, nobody holds its lease")


def _invitation(name: str, work: Work, verdict: Verdict) -> None:
    dispatch = work.row["dispatch"]
    if work.row["status"] == "requested" and work.invited != dispatch:
        verdict.lost.append(f"work {name} waits for a claim, its invitation {dispatch} is not in the queue")
    if work.invited is not None and work.invited > dispatch:
        verdict.doubled.append(f"work {name} is at dispatch {dispatch}, its invitation is {work.invited}")


def _effects(works: dict[Key, Work], effects: list[Effect], verdict: Verdict) -> None:
    by_id = {name: work for (_, name), work in works.items()}
    had = Counter(effects)
    for effect, times in had.items():
        what = f"the effect of work {effect.work_request_id}, attempt {effect.attempt}"
        work = by_id.get(effect.work_request_id)
        if times > 1:
            verdict.doubled.append(f"{what}, was had {times} times")
        if work is None or effect.attempt not in [row["attempt"] for row in work.attempts]:
            verdict.doubled.append(f"{what}, was had for no claim that the Domain knows")
    for (_, name), work in works.items():
        for row in work.attempts:
            if row["ended_by"] == "succeeded" and Effect(name, row["attempt"]) not in had:
                verdict.lost.append(f"the effect of work {name}, attempt {row['attempt']}, which succeeded")


def _requests(works: dict[Key, Work], verdict: Verdict) -> None:
    asked: dict[Key, list[str]] = defaultdict(list)
    for (tenant, name), work in works.items():
        asked[tenant, WorkRequest.from_binary(bytes(work.row["state"])).client_request_id].append(name)
    for (tenant, key), names in asked.items():
        if len(names) > 1:
            verdict.doubled.append(f"request {key} of {tenant} has the works {', '.join(names)}")
