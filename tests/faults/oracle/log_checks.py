"""The log: one order without gaps, each message once, the facts of an aggregate by their versions."""

from __future__ import annotations

from collections import Counter

from tests.faults.oracle.database import Snapshot
from tests.faults.oracle.verdict import Verdict


async def check_log(base: Snapshot, verdict: Verdict) -> None:
    """Positions, message ids, versions, births, and nothing that waits aside."""
    await _positions(base, verdict)
    await _messages(base, verdict)
    await _versions(base, verdict)
    await _births(base, verdict)
    for row in await base.rows("SELECT consumer, position, key, name, error FROM ameide.parked ORDER BY 1, 2"):
        what = f"{row['name']} at position {row['position']} of {row['key']}"
        verdict.lost.append(f"{what} is parked by {row['consumer']}: {row['error']}")


async def _positions(base: Snapshot, verdict: Verdict) -> None:
    twice = "SELECT position, array_agg(message_id) AS ids FROM ameide.log GROUP BY 1 HAVING count(*) > 1 ORDER BY 1"
    for row in await base.rows(twice):
        verdict.doubled.append(f"position {row['position']} of the log holds the messages {', '.join(row['ids'])}")
    gaps = """
        SELECT before + 1 AS first, position - 1 AS last
        FROM (SELECT position, lag(position, 1, 0::bigint) OVER (ORDER BY position) AS before FROM ameide.log) AS l
        WHERE position > before + 1 ORDER BY 1"""
    for row in await base.rows(gaps):
        verdict.lost.append(f"the log has no positions {row['first']} to {row['last']}")
    ends = "SELECT coalesce(max(position), 0) AS last, (SELECT position FROM ameide.log_head) AS head FROM ameide.log"
    end = await base.row(ends)
    if end["head"] > end["last"]:
        verdict.lost.append(f"the head of the log is {end['head']}, its last position {end['last']}")
    if end["head"] < end["last"]:
        verdict.doubled.append(f"the head is {end['head']}, so positions up to {end['last']} will be given again")


async def _messages(base: Snapshot, verdict: Verdict) -> None:
    twice = """
        SELECT message_id, min(name) AS name, count(*) AS n FROM (
            SELECT message_id, name FROM ameide.log UNION ALL SELECT message_id, name FROM ameide.outbox) AS m
        GROUP BY 1 HAVING count(*) > 1 ORDER BY 1"""
    for row in await base.rows(twice):
        verdict.doubled.append(f"message {row['message_id']} ({row['name']}) is stated {row['n']} times")


async def _versions(base: Snapshot, verdict: Verdict) -> None:
    wrong = """
        SELECT tenant_id, aggregate_type, aggregate_id, array_agg(aggregate_version ORDER BY position) AS versions
        FROM (SELECT *, row_number() OVER (PARTITION BY tenant_id, aggregate_type, aggregate_id ORDER BY position)
            AS expected FROM ameide.log WHERE kind = 'fact') AS l
        GROUP BY 1, 2, 3 HAVING bool_or(aggregate_version <> expected) ORDER BY 1, 2, 3"""
    for row in await base.rows(wrong):
        versions: list[int] = row["versions"]
        who = f"{row['aggregate_type']} {row['aggregate_id']} of {row['tenant_id']}"
        twice = sorted(version for version, times in Counter(versions).items() if times > 1)
        missing = sorted(set(range(1, max(versions) + 1)) - set(versions))
        if twice:
            verdict.doubled.append(f"{who} has more than one fact of version {twice}")
        if missing:
            verdict.lost.append(f"{who} has no fact of version {missing}")
        if not twice and not missing:
            verdict.lost.append(f"{who}: the order of its facts, which lie as {versions}")


async def _births(base: Snapshot, verdict: Verdict) -> None:
    """One request makes one aggregate of a kind: a second one means that its answer was not remembered."""
    twice = """
        SELECT tenant_id, causation_id, aggregate_type, array_agg(aggregate_id ORDER BY position) AS ids
        FROM ameide.log WHERE kind = 'fact' AND aggregate_version = 1
        GROUP BY 1, 2, 3 HAVING count(*) > 1 ORDER BY 1, 2, 3"""
    for row in await base.rows(twice):
        who = f"request {row['causation_id']} of {row['tenant_id']}"
        verdict.doubled.append(f"{who} made {row['aggregate_type']} {', '.join(row['ids'])}")
