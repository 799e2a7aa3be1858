"""Facts in any number, with the payloads of real aggregates: a change is told, then said again under other ids."""

from __future__ import annotations

import psycopg

from ameide.events.relay import Relay
from ameide.events.wakeups import Wakeups
from ameide.storage.db import Database
from benchmarks.facts import saying_again
from tests.conftest import SpineDatabase
from tests.log.world import rows
from tests.views.readers import Readers
from tests.views.story import told

_BATCH = 5_000
_COPIES = 500


async def say_facts(readers: Readers, relay_db: Database, count: int, *, partition: int) -> int:
    """At least `count` messages in the log, in partitions of `partition`; gives the position of the last one."""
    relay = Relay(relay_db, Wakeups(), batch=_BATCH, partition=partition)
    await relay.move()
    await told(readers)
    head = readers.head()
    told_messages = rows(readers.spine, "SELECT * FROM ameide.log WHERE correlation_id <> '' ORDER BY position")
    copies = -(-(count - head) // len(told_messages))
    with psycopg.connect(readers.spine.address.conninfo, autocommit=True) as admin:
        for first in range(1, copies + 1, _COPIES):
            admin.execute(saying_again(told_messages, first, min(first + _COPIES - 1, copies)))
            while await relay.move():
                pass
    rows(readers.spine, "ANALYZE")
    return readers.head()


def all_read_by_ingress(database: SpineDatabase) -> None:
    """As if the ingress had signalled everything."""
    rows(database, "UPDATE ameide.cursor SET position = (SELECT position FROM ameide.log_head) WHERE name = 'ingress'")
