"""What stands still: parts of the control plane that do not run or fall behind, and what waits for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from protobuf.wkt import Timestamp

from ameide.contracts import topics
from ameide.events.presence import BEAT_SECONDS
from ameide.storage.db import Row
from ameide.storage.sql import load
from ameide.views.reading import Reading
from ameide_core_proto.transformation.governance.v1.governance_pb import Gate, Promotion
from ameide_core_proto.transformation.governance.v1.query_service_pb import Stuck, StuckKind

# A role that missed three of its beats does not run.
SILENT_SECONDS = 3 * BEAT_SECONDS
# What waits no longer than this is on its way.
BEHIND_SECONDS = 5.0
# Between two polls of a living executor.
GRACE_SECONDS = 2 * BEAT_SECONDS
# Until an executor that is started for an invitation of Kafka has claimed the work.
START_SECONDS = 60.0
# Between two words of a run that goes on.
QUIET_SECONDS = 20.0
LIMIT = 100
_ROLES = {
    "relay": StuckKind.RELAY,
    "forwarder": StuckKind.FORWARDER,
    "projector": StuckKind.PROJECTOR,
    "ingress": StuckKind.INGRESS,
    "sweeper": StuckKind.SWEEPER,
}
_SQL = load("stuck")


async def stuck(reading: Reading) -> list[Stuck]:
    """Causes before consequences, people last; of each kind the oldest first. Counts are the tenant's own."""
    fetch = reading.tx.fetch_all
    limit = {"limit": LIMIT}
    seen = {row["role"]: row for row in await fetch(_SQL["roles"])}
    late = {row["name"]: row for row in await fetch(_SQL["behind"])}
    late["relay"] = (await fetch(_SQL["outbox"]))[0]
    late["sweeper"] = (await fetch(_SQL["overdue"]))[0]
    forwards = await fetch(_SQL["forwards"], {"facts": list(topics.FACT_TOPICS)})
    if forwards and forwards[0]["facts"]:
        late = _without_consequence(late)
    roles = list(standing_roles(seen, late, forwards=bool(forwards)))
    found = roles + [
        _of(StuckKind.QUEUE, row, row["queue"]) for row in await fetch(_SQL["unserved"], _GRACE) if _due(row)
    ]
    found += [_of(StuckKind.PARKED, row, row["key"]) for row in await fetch(_SQL["parked"], limit)]
    found += [_of(StuckKind.CANCEL, row, row["work_request_id"]) for row in await fetch(_SQL["silent_cancels"], limit)]
    if not any(role.kind != StuckKind.SWEEPER for role in roles):
        # Otherwise no run goes on, and the missing role is why.
        found += [
            _of(StuckKind.RUN, row, row["id"]) for row in await fetch(_SQL["runs"], {**limit, "quiet": QUIET_SECONDS})
        ]
    found += [_gate(row) for row in await fetch(_SQL["gates"], limit)]
    return found + [_promotion(row) for row in await fetch(_SQL["promotions"], limit)]


_GRACE = {"grace": GRACE_SECONDS}


def _without_consequence(late: dict[str, Row]) -> dict[str, Row]:
    """An ingress that has had all that the forwarder gave to Kafka is late because of the forwarder alone."""
    cause, ingress = late.get("forwarder"), late.get("ingress")
    waits = cause is not None and ingress is not None and ingress["waiting"] <= cause["waiting"]
    return {name: row for name, row in late.items() if name != "ingress"} if waits else late


def standing_roles(seen: Mapping[str, Row], late: Mapping[str, Row], *, forwards: bool = False) -> Iterable[Stuck]:
    """The roles that are silent, or whose oldest task waits for longer than a moment; a forwarder if one is needed.

    A forwarder that runs where none is needed was started with other settings than who started last: it says so.
    """
    for role, kind in _ROLES.items():
        word, waits = seen.get(role), late.get(role)
        silent = word is None or word["silent"] > SILENT_SECONDS
        behind = waits is not None and (waits["age"] or 0.0) > BEHIND_SECONDS
        if role == "forwarder" and not forwards:
            stands = word is not None and not silent and word["trouble"] != ""
        else:
            stands = silent or behind
        if not stands:
            continue
        answer = Stuck(kind=kind, subject=role)
        if word is not None:
            answer.last_seen = answer.since = Timestamp.from_datetime(word["seen_at"])
            answer.age_seconds = word["silent"]
            answer.reason = word["trouble"]
        if waits is not None and behind:
            answer.since, answer.age_seconds = Timestamp.from_datetime(waits["since"]), waits["age"]
            answer.waiting = int(waits["waiting"])
        yield answer


def _due(queue: Row) -> bool:
    return queue["waiting"] == 0 or queue["age"] > (START_SECONDS if queue["by_kafka"] else BEHIND_SECONDS)


def _of(kind: StuckKind, row: Row, subject: str) -> Stuck:
    last_seen = row.get("last_seen")
    return Stuck(
        kind=kind,
        subject=subject,
        change_id=row.get("change_id", ""),
        since=Timestamp.from_datetime(row["since"]),
        age_seconds=max(0.0, row["age"]),
        waiting=row.get("waiting", 0),
        reason=row.get("reason") or "",
        last_seen=Timestamp.from_datetime(last_seen) if last_seen else None,
        consumer=row.get("consumer", ""),
        principal_id=row.get("principal_id", ""),
    )


def _gate(row: Row) -> Stuck:
    answer, gate = _of(StuckKind.GATE, row, row["id"]), Gate.from_binary(row["body"])
    answer.gate = gate
    answer.reason = gate.subject.reason if gate.subject else ""
    return answer


def _promotion(row: Row) -> Stuck:
    answer, promotion = _of(StuckKind.PROMOTION, row, row["id"]), Promotion.from_binary(row["body"])
    answer.reason = f"{promotion.environment}: {promotion.pr_url}"
    return answer
