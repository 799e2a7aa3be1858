"""Who is at work leaves word: seldom, beside the work, and not at all when the database is away."""

import asyncio

from ameide.events.presence import QueuePresence, RolePresence
from ameide.storage.db import Database
from tests.conftest import SpineDatabase


async def rows(database: SpineDatabase, table: str) -> list[dict[str, object]]:
    """Everything in one of the two tables."""
    pool = Database(database.address.conninfo, max_size=1)
    await pool.open()
    async with pool.transaction(None) as tx:
        found = await tx.fetch_all("SELECT * FROM ameide.role_seen" if table == "role_seen" else _QUEUES)
    await pool.close()
    return found


_QUEUES = "SELECT *, served_until - seen_at AS waits FROM ameide.queue_served ORDER BY tenant_id, queue"


async def settled(presence: QueuePresence) -> None:
    """What was begun is written."""
    await asyncio.gather(*presence._writing)  # pyright: ignore[reportPrivateUsage]


async def test_a_role_is_seen_once_in_a_while(database: SpineDatabase):
    for role in ("relay", "sweeper", "ingress", "projector"):
        pool = Database(database.dsn(f"ameide_{role}"), max_size=1)
        await pool.open()
        presence = RolePresence(pool, role)
        await presence.beat()
        await presence.beat()
        await pool.close()
        # Too soon: the closed pool would not have been able to.
        await presence.beat()
    assert {row["role"] for row in await rows(database, "role_seen")} == {"relay", "sweeper", "ingress", "projector"}


async def test_a_poll_is_noted_beside_it_for_its_own_tenant(database: SpineDatabase):
    pool = Database(database.dsn("ameide_app"), max_size=2)
    await pool.open()
    presence = QueuePresence(pool)
    presence.note("acme", "verifier", ["b", "a"], 10)
    presence.note("acme", "verifier", ["a", "b"], 10)
    presence.note("other", "verifier", ["a"], 0)
    await settled(presence)
    # A longer wait than the one known is not passed over.
    presence.note("acme", "verifier", ["a", "b"], 60)
    await settled(presence)
    await pool.close()
    found = await rows(database, "queue_served")
    assert [(row["tenant_id"], row["queue"], round(row["waits"].total_seconds())) for row in found] == [  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType, reportUnknownMemberType]
        ("acme", "a", 60),
        ("acme", "b", 60),
        ("other", "a", 0),
    ]


async def test_a_poll_does_not_fail_with_its_note():
    presence = QueuePresence(Database("host=127.0.0.1 port=1 dbname=none", timeout=0.1))
    presence.note("acme", "verifier", ["a"], 10)
    await settled(presence)
