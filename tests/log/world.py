"""Messages for a log in small partitions, and what the log holds, seen past row-level security."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import psycopg
from psycopg.rows import DictRow, dict_row

from ameide.contracts import topics
from ameide.contracts.ids import new_message_id
from ameide.events.outbox import OutboxMessage
from ameide.storage.db import Database
from tests.conftest import SpineDatabase

TENANT = "acme"


def message(
    aggregate: str, version: int, *, intent: bool = False, queue: str = topics.QUEUE_VERIFY, payload: bytes = b""
) -> OutboxMessage:
    """A message about a work; its payload need not be one of its topic."""
    return OutboxMessage(
        tenant_id=TENANT,
        topic=queue if intent else topics.WORK_FACTS,
        kind="intent" if intent else "fact",
        key=f"{TENANT}:{aggregate}",
        message_id=new_message_id(),
        name="WorkExecutionRequested" if intent else "WorkRequested",
        aggregate_type="work",
        aggregate_id=aggregate,
        aggregate_version=version,
        process_instance_id="",
        correlation_id="",
        causation_id="",
        work_request_id=aggregate,
        occurred_at=datetime.now(UTC),
        payload=payload,
    )


def rows(database: SpineDatabase, statement: str, *parameters: object) -> list[DictRow]:
    """The rows of a statement, as the superuser."""
    with psycopg.connect(database.address.conninfo, autocommit=True) as admin:
        cursor = admin.cursor(row_factory=dict_row).execute(statement.encode(), parameters or None)
        return cursor.fetchall() if cursor.description else []


def fill(database: SpineDatabase, count: int, size: int) -> None:
    """A log of so many messages in partitions of this size, as if the relay had moved them."""
    rows(database, "SELECT ameide.extend_log(%s, %s)", count, size)
    rows(
        database,
        "INSERT INTO ameide.log SELECT n, %s, 'topic', 'fact', 'acme:w', 'm' || n, 'N', 'work', 'w', n, '', '', '', '',"
        " now(), decode(md5(n::text), 'hex') FROM generate_series(1, %s) AS n",
        TENANT,
        count,
    )
    rows(database, "UPDATE ameide.log_head SET position = %s", count)


@asynccontextmanager
async def opened(dsn: str, connections: int = 3) -> AsyncGenerator[Database]:
    """Connections of one role."""
    db = Database(dsn, max_size=connections)
    await db.open()
    yield db
    await db.close()


def partitions(database: SpineDatabase) -> list[tuple[int, int]]:
    """The ranges of the log's partitions: first position, and the first one behind it."""
    found = rows(database, "SELECT first, until FROM ameide.log_partition ORDER BY first")
    return [(row["first"], row["until"]) for row in found]
