"""Messages in any number with the payloads of real ones: the database says them again under other ids."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from psycopg import sql

from ameide.events.messages import COLUMNS

# The ids of records and messages; their last eight digits become the number of the copy.
_ID = re.compile(rb"(?:[a-z]{3}-[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_TAIL = 8


def saying_again(messages: Sequence[Mapping[str, object]], first: int, last: int) -> sql.Composed:
    """A statement that puts copies of these rows of the log into the outbox, numbered from `first` to `last`, each copy
    with ids of its own in columns and payloads alike."""
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
