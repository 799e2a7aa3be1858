"""The timeline of a change or a run, in the seed's columns: Process, Events, Infra.

Messages come in the order of the log. Infra's observations (the attempts' own rows, read now) stand between them by
time, before the first message that is not older.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zlib import crc32

from protobuf.wkt import Timestamp

from ameide.contracts import topics
from ameide.errors import InvalidArgument
from ameide.storage.db import Row
from ameide.storage.sql import load
from ameide.views import paging
from ameide.views.reading import Filter, Reading, not_found
from ameide.views.sentences import who
from ameide_core_proto.common.v1.metadata_pb import Actor
from ameide_core_proto.common.v1.reading_pb import Citation, CitationKind, Page
from ameide_core_proto.transformation.governance.v1.governance_pb import Change, Run
from ameide_core_proto.transformation.governance.v1.query_service_pb import TimelineColumn, TimelineRow
from ameide_core_proto.transformation.work.v1.work_pb import WorkRequest

_SQL = load("views")


@dataclass(frozen=True, slots=True)
class Observation:
    """Something that infra saw, at database time."""

    at: datetime
    name: str
    text: str
    work_request_id: str
    process_instance_id: str
    actor: str = ""


async def timeline(reading: Reading, change_id: str, run_id: str, page: Page | None) -> tuple[list[TimelineRow], str]:
    """A page of rows, oldest first, and the next token. Raises NotFound; InvalidArgument when neither id is given."""
    if not change_id and not run_id:
        raise InvalidArgument("missing", field="change_id", remedy="Name a change_id or a process_instance_id")
    if run_id:
        run = await reading.get(Run, run_id)
        if change_id and run.change_id != change_id:
            raise not_found("run of this change", run_id)
        change_id = run.change_id
    await reading.get(Change, change_id)
    works = await reading.every(WorkRequest, Filter(change=change_id, run=run_id))
    ids = [work.work_request_id for work in works]
    facts = await reading.tx.fetch_all(_SQL["timeline"], {"change": change_id, "run": run_id, "works": ids})
    seen = await _observations(reading, works)
    rows = merge(facts, seen)
    after = paging.decode(page, 4)
    rest = [(key, row) for key, row in rows if after is None or key > after]
    size = paging.size_of(page)
    shown = rest[:size]
    reading.citations.clear()
    for _, row in shown:
        if row.citation:
            reading.cite(row.citation.kind, row.citation.ref, row.citation.log_position)
    token = paging.encode(*shown[-1][0]) if len(rest) > size else ""
    return [row for _, row in shown], token


# Position, then before (0), at (1) or behind (2) the message there, then time in microseconds, then a tie-break.
Key = tuple[int, int, int, int]


def merge(facts: Sequence[Row], seen: Iterable[Observation]) -> list[tuple[Key, TimelineRow]]:
    """Both in one order. The keys ascend, and a row keeps its key's place when others are added."""
    merged: list[tuple[Key, TimelineRow]] = []
    waiting = sorted(seen, key=_moment)
    taken = 0
    for fact in facts:
        while taken < len(waiting) and waiting[taken].at <= fact["occurred_at"]:
            merged.append(((fact["position"], 0, *_moment(waiting[taken])), _infra(waiting[taken])))
            taken += 1
        merged.append(((fact["position"], 1, 0, 0), _event(fact)))
    last = facts[-1]["position"] if facts else 0
    merged += [((last, 2, *_moment(observation)), _infra(observation)) for observation in waiting[taken:]]
    return merged


def _moment(seen: Observation) -> tuple[int, int]:
    return round(seen.at.timestamp() * 1_000_000), crc32(f"{seen.work_request_id} {seen.name} {seen.text}".encode())


def _event(fact: Row) -> TimelineRow:
    of_process = fact["topic"] == topics.PROCESS_FACTS
    if fact["topic"] in topics.QUEUES:
        # An intent is no fact: the record behind it is the work.
        citation = Citation(kind=CitationKind.WORK_REQUEST, ref=fact["work_request_id"], log_position=fact["position"])
    else:
        kind = CitationKind.PROCESS_FACT if of_process else CitationKind.DOMAIN_FACT
        citation = Citation(kind=kind, ref=fact["message_id"], log_position=fact["position"])
    actor = Actor(principal_id=fact["actor"], on_behalf_of=fact["on_behalf_of"])
    return TimelineRow(
        column=TimelineColumn.PROCESS if of_process else TimelineColumn.EVENTS,
        at=Timestamp.from_datetime(fact["occurred_at"]),
        name=fact["name"],
        text=fact["text"],
        work_request_id=fact["work_request_id"],
        process_instance_id=fact["process_instance_id"],
        actor=who(actor) if fact["actor"] else "",
        citation=citation,
        log_position=fact["position"],
        causation_id=fact["causation_id"],
    )


def _infra(seen: Observation) -> TimelineRow:
    return TimelineRow(
        column=TimelineColumn.INFRA,
        at=Timestamp.from_datetime(seen.at),
        name=seen.name,
        text=seen.text,
        work_request_id=seen.work_request_id,
        process_instance_id=seen.process_instance_id,
        actor=seen.actor,
        citation=Citation(kind=CitationKind.WORK_REQUEST, ref=seen.work_request_id),
    )


async def _observations(reading: Reading, works: Sequence[WorkRequest]) -> list[Observation]:
    ids = [work.work_request_id for work in works]
    if not ids:
        return []
    by_id = {work.work_request_id: work for work in works}
    seen: list[Observation] = []
    for row in await reading.tx.fetch_all(_SQL["waiting"], {"works": ids}):
        run = by_id[row["work_request_id"]].process_instance_id
        text = f"waits in {row['queue']}, dispatch {row['dispatch']}"
        seen.append(Observation(row["enqueued_at"], "Queued", text, row["work_request_id"], run))
    for row in await reading.tx.fetch_all(_SQL["attempts"], {"works": ids}):
        seen += observations_of(row, by_id[row["work_request_id"]])
    return seen


def observations_of(attempt: Row, work: WorkRequest) -> list[Observation]:
    """What an attempt's row tells: the wait and the claim, the last heartbeat, the exit."""
    number, executor = attempt["attempt"], attempt["principal_id"]

    def observed(at: datetime, name: str, text: str) -> Observation:
        return Observation(at, name, text, work.work_request_id, work.process_instance_id, executor)

    runner = f" on {attempt['runner']}" if attempt["runner"] else ""
    waited = attempt["queue_wait_ms"]
    claimed = f"attempt {number} claimed{runner} after {waited} ms in {work.queue}"
    seen = [observed(attempt["claimed_at"], "Claimed", claimed)]
    if attempt["heartbeats"]:
        text = f"{attempt['heartbeats']} heartbeats of attempt {number}, this one the last"
        seen.append(observed(attempt["last_heartbeat_at"], "Heartbeat", text))
    if attempt["ended_at"]:
        seconds = (attempt["ended_at"] - attempt["claimed_at"]).total_seconds()
        exited = f", exit code {work.result.exit_code}" if work.result and number == work.attempt else ""
        text = f"attempt {number} ended: {attempt['ended_by']} after {seconds:.1f} s{exited}"
        seen.append(observed(attempt["ended_at"], "Exited", text))
    return seen
