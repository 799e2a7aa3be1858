"""The delegated loop with 1,000,000 old facts and 20,000 works in flight, against itself on an empty system.

Two installations on one cluster, each with processes of its own; both take turns at the same paced rate. The ratio is
of rates, so 0.9 means that the loop takes at most a ninth longer.
"""

from __future__ import annotations

import psycopg

from ameide.contracts import topics
from ameide.events.relay import PARTITION
from benchmarks import command
from benchmarks.domain import domain, verify, waiting_works
from benchmarks.installation import Cluster, Installation
from benchmarks.loops import loops
from benchmarks.protocol import Block, Plan, Row, alternate, compare, percentile, say

NAME = "loaded_loop"
RATE = 5.0
_FACTS = 1_000_000
_WORKS = 20_000


async def bench(cluster: Cluster, plan: Plan) -> list[Row]:
    """One row: the medians of the blocks."""
    empty, loaded = await cluster.installation("empty"), await cluster.installation("loaded")
    await _load(loaded, plan)
    async with loops(empty, bare=False) as without, loops(loaded, bare=False) as within:

        def side(one: object) -> Block:
            async def block(seconds: float) -> float:
                assert one in (without, within)
                found = await (within if one is within else without).turns("delegated", RATE, seconds)
                return 1.0 / percentile(found, 50)

            return block

        for one in (without, within):
            await one.turns("delegated", RATE, plan.seconds / 2)
        found = await alternate({"loaded": side(within), "empty": side(without)}, plan)
    return [
        compare(
            f"delegated loop with {plan.count(_FACTS):,} old facts, {plan.count(_WORKS):,} works in flight",
            "itself on an empty system",
            found["loaded"],
            found["empty"],
            reach=0.9,
            aim=1.0,
            unit="turns/s one after the other",
        )
    ]


async def _load(there: Installation, plan: Plan) -> None:
    facts, works = plan.count(_FACTS, 1000), plan.count(_WORKS, 100)
    say(f"  preparing {facts:,} facts and {works:,} works")
    async with domain(there, size=2) as inside:
        await inside.register()
        run = await inside.run()
        await inside.request(verify(run.process_instance_id))
    await waiting_works(there, works, queue=topics.QUEUE_PUBLISH)
    with psycopg.connect(there.admin.conninfo, autocommit=True) as admin:
        admin.execute(_STARTED, (works // 2,))
        admin.execute(
            "DELETE FROM ameide.queue_item q USING ameide.attempt a WHERE a.work_request_id = q.work_request_id"
        )
        # The run of the template is gone again: it was only to be copied from, and nobody shall serve it.
        admin.execute("CREATE TABLE public.template AS SELECT * FROM ameide.outbox WHERE aggregate_type = 'work'")
        admin.execute("TRUNCATE ameide.outbox")
        admin.execute("UPDATE ameide.aggregate SET status = 'CLOSED' WHERE kind = 'run'")
        admin.execute("SELECT ameide.extend_log(%s, %s)", (facts + 1, PARTITION))
        admin.execute(_OLD_FACTS, (facts,))
        admin.execute(_OLD_VIEW)
        for table in ("log_head", "cursor"):
            admin.execute(f"UPDATE ameide.{table} SET position = %s".encode(), (facts,))  # noqa: S608
        admin.execute("VACUUM (ANALYZE)")
        admin.execute("CHECKPOINT")


_STARTED = """
WITH chosen AS (SELECT tenant_id, work_request_id FROM ameide.work WHERE status = 'requested' LIMIT %s), started AS (
    UPDATE ameide.work w SET status = 'started', attempt = 1, announce_at = NULL FROM chosen c
    WHERE w.tenant_id = c.tenant_id AND w.work_request_id = c.work_request_id RETURNING w.*)
INSERT INTO ameide.attempt (tenant_id, work_request_id, attempt, claim_id, principal_id, claimed_at, lease_until,
    run_until, last_heartbeat_at)
SELECT tenant_id, work_request_id, 1, md5(work_request_id), 'author', now(), now() + interval '1 day',
    now() + interval '1 day', now() FROM started
"""
_OLD_FACTS = """
INSERT INTO ameide.log
SELECT n, t.tenant_id, t.topic, 'fact', t.key || n %% 20000, gen_random_uuid()::text, t.name, t.aggregate_type,
    t.aggregate_id || n %% 20000, 1 + n / 20000, '', 'chg-' || n %% 5000, t.causation_id,
    t.work_request_id || n %% 20000, t.occurred_at, t.payload
FROM generate_series(1, %s) AS n, (SELECT * FROM public.template WHERE kind = 'fact' LIMIT 1) AS t
"""
_OLD_VIEW = """
INSERT INTO ameide.view_fact
SELECT tenant_id, position, topic, name, message_id, occurred_at, 'process', '', aggregate_type, aggregate_id,
    aggregate_version, correlation_id, process_instance_id, work_request_id, causation_id, 'an old fact' FROM ameide.log
"""


if __name__ == "__main__":
    command.main(NAME)
