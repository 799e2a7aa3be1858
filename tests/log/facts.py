"""Facts in any number, with the payloads of real aggregates: a change is told, then said again under other ids."""

from __future__ import annotations

import re

import psycopg
from psycopg import sql
from psycopg.rows import DictRow

from ameide.events.messages import COLUMNS
from ameide.events.relay import Relay
from ameide.events.wakeups import Wakeups
from ameide.storage.db import Database
from tests.conftest import SpineDatabase
from tests.log.world import rows
from tests.views.readers import Readers
from tests.views.story import told

# The ids of records and messages; their last eight digits become the number of the copy.
_ID = re.compile(rb"(?:[a-z]{3}-[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_TAIL = 8
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
            admin.execute(_saying_again(told_messages, first, min(first + _COPIES - 1, copies)))
            while await relay.move():
                pass
    rows(readers.spine, "ANALYZE")
    return readers.head()


def all_read_by_ingress(database: SpineDatabase) -> None:
    """As if the ingress had signalled everything."""
    rows(database, "UPDATE ameide.cursor SET position = (SELECT position FROM ameide.log_head) WHERE name = 'ingress'")


def _saying_again(messages: list[DictRow], first: int, last: int) -> sql.Composed:
    said = [
        sql.SQL("({}, {})").format(sql.Literal(place), sql.SQL(", ").join(_expression(row[name]) for name in COLUMNS))
        for place, row in enumerate(messages)
    ]
    columns = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
    return sql.SQL(
        "INSERT INTO ameide.outbox ({columns}) SELECT {columns} FROM ("
        " SELECT n, lpad(to_hex(n), 8, '0') AS tail, convert_to(lpad(to_hex(n), 8, '0'), 'UTF8') AS bytes"
        " FROM generate_series({first}, {last}) AS n) AS copy"
        " CROSS JOIN LATERAL (VALUES {said}) AS m (place, {columns}) ORDER BY n, place"
    ).format(columns=columns, first=sql.Literal(first), last=sql.Literal(last), said=sql.SQL(", ").join(said))


def _expression(value: object) -> sql.Composable:
    match value:
        case bytes():
            pieces: list[sql.Composable] = [sql.SQL("{}::bytea").format(sql.Literal(p)) for p in _pieces(value)]
            return sql.SQL(" || bytes || ").join(pieces)
        case str():
            return sql.SQL(" || tail || ").join([sql.Literal(piece.decode()) for piece in _pieces(value.encode())])
        case _:
            return sql.Literal(value)


def _pieces(value: bytes) -> list[bytes]:
    pieces: list[bytes] = []
    begin = 0
    for found in _ID.finditer(value):
        pieces.append(value[begin : found.end() - _TAIL])
        begin = found.end()
    return [*pieces, value[begin:]]
