"""Acknowledged, so it is in the Domain; in the Domain, so it is in the log."""

from __future__ import annotations

from tests.faults.oracle.database import Snapshot
from tests.faults.oracle.folder import Acknowledged
from tests.faults.oracle.verdict import Verdict

# Rows that are kept beside an aggregate, with no facts of their own.
_ASIDE = "artifact_version"


async def check_domain(base: Snapshot, acknowledged: list[Acknowledged], verdict: Verdict) -> None:
    """Both inclusions, by ids, keys and versions."""
    await _acknowledged(base, acknowledged, verdict)
    differing = """
        SELECT coalesce(s.tenant_id, f.tenant_id) AS tenant_id, coalesce(s.kind, f.kind) AS kind,
            coalesce(s.id, f.id) AS id, s.version AS held, f.version AS stated
        FROM (SELECT tenant_id, kind, id, version FROM ameide.aggregate WHERE kind <> %s
            UNION ALL SELECT tenant_id, 'work', work_request_id, version FROM ameide.work) AS s
        FULL JOIN (SELECT tenant_id, aggregate_type AS kind, aggregate_id AS id, max(aggregate_version) AS version
            FROM ameide.log WHERE kind = 'fact' GROUP BY 1, 2, 3) AS f USING (tenant_id, kind, id)
        WHERE s.version IS DISTINCT FROM f.version ORDER BY 1, 2, 3"""
    for row in await base.rows(differing, _ASIDE):
        who = f"{row['kind']} {row['id']} of {row['tenant_id']}"
        verdict.lost.append(f"{who}: the Domain holds version {row['held']}, the log has facts up to {row['stated']}")


async def _acknowledged(base: Snapshot, acknowledged: list[Acknowledged], verdict: Verdict) -> None:
    held = await base.rows(
        "SELECT tenant_id, kind, id FROM ameide.aggregate WHERE kind IN ('run', 'change')"
        " UNION ALL SELECT tenant_id, 'work', work_request_id FROM ameide.work"
    )
    there = {(row["tenant_id"], row["kind"], row["id"]) for row in held}
    born = await base.rows(
        "SELECT tenant_id, aggregate_type, aggregate_id, causation_id FROM ameide.log"
        " WHERE kind = 'fact' AND aggregate_version = 1"
    )
    asked = {(row["tenant_id"], row["aggregate_type"], row["aggregate_id"]): row["causation_id"] for row in born}
    answers: dict[tuple[str, str, str], str] = {}
    for one in acknowledged:
        place = (one.tenant_id, one.kind, one.id)
        who = f"{one.kind} {one.id} of {one.tenant_id}, acknowledged for {one.client_request_id}"
        if place not in there:
            verdict.lost.append(f"{who}, is not in the Domain")
        elif asked.get(place, one.client_request_id) != one.client_request_id:
            verdict.lost.append(f"{who}, was made by {asked[place]}")
        first = answers.setdefault((one.tenant_id, one.kind, one.client_request_id), one.id)
        if first != one.id:
            verdict.doubled.append(f"request {one.client_request_id} was answered with {first} and with {one.id}")
