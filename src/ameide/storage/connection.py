"""A connection on which statements travel together: written with one send, answered in one wait, each prepared once.

psycopg's own pipeline gives every statement a cursor, a send and a turn of the event loop, and a command has many.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import count
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg.abc import Buffer, PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.generators import fetch_many, send
from psycopg.pq import ConnStatus, ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult
from psycopg.rows import DictRow

Row = DictRow
Params = Sequence[object] | Mapping[str, object] | None
Statement = tuple[LiteralString, Params]

# Statements are named, so there are not many; the rest would run without being kept.
_MOST_KEPT = 300
_GOOD = frozenset({ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK})
_PLACE = re.compile(r"%(?:(%)|(?:\((\w+)\))?s)")


class Answer(NamedTuple):
    """What one statement answered: its rows, as dicts by column name, and how many it touched."""

    rows: list[Row]
    touched: int


class _Wired(NamedTuple):
    query: bytes
    name: bytes
    values: Sequence[Buffer | None]
    types: tuple[int, ...]
    formats: Sequence[Format]
    # Whether the server is told the statement with it.
    new: bool


class Connection(psycopg.AsyncConnection[DictRow]):
    """psycopg's connection, with `exchange` beside its cursors."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._adapter = Transformer(self)
        self._kept: dict[tuple[bytes, tuple[int, ...]], bytes] = {}
        self._numbers = count()

    async def exchange(self, statements: Sequence[Statement]) -> list[Answer]:
        """Run statements in order, in one round trip.

        Raises what the first that failed raises; those after it did not run. Unless they begin and end a transaction
        of their own, they are one.
        """
        async with self.lock:
            wired = [self._wire(sql, params) for sql, params in statements]
            told = [one for one in wired if one.new]
            try:
                results = await self._round_trip(wired, len(wired) + len(told))
            except BaseException:
                self._forget(told)
                raise
        return self._answers(wired, results)

    def _wire(self, sql: LiteralString, params: Params) -> _Wired:
        query, names = _placed(sql) if params is not None else (sql.encode(), ())
        values: Sequence[Buffer | None] = ()
        types: tuple[int, ...] = ()
        formats: Sequence[Format] = ()
        if params:
            given = [params[name] for name in names] if isinstance(params, Mapping) else params
            values = self._adapter.dump_sequence(given, [PyFormat.AUTO] * len(given))
            types, formats = self._adapter.types or (), self._adapter.formats or ()
        name = self._kept.get((query, types))
        if name is not None:
            return _Wired(query, name, values, types, formats, new=False)
        # A name is used once: whether an exchange that was broken off has told it to the server nobody knows. It begins
        # with the statement's first word, for who reads what goes over the wire.
        name = b"%s_%d" % (query.split(None, 1)[0], next(self._numbers)) if len(self._kept) < _MOST_KEPT else b""
        if name:
            self._kept[query, types] = name
        return _Wired(query, name, values, types, formats, new=True)

    async def _round_trip(self, wired: Sequence[_Wired], expected: int) -> list[PGresult]:
        pgconn = self.pgconn
        pgconn.enter_pipeline_mode()
        try:
            for one in wired:
                if one.new:
                    pgconn.send_prepare(one.name, one.query, one.types)
                pgconn.send_query_prepared(one.name, one.values, one.formats)
            pgconn.pipeline_sync()
            return await self.wait(_talk(pgconn, expected))
        finally:
            if pgconn.status == ConnStatus.OK:
                try:
                    pgconn.exit_pipeline_mode()
                except psycopg.OperationalError:
                    # Broken off before the last answer: nobody can tell what comes next.
                    pgconn.finish()

    def _answers(self, wired: Sequence[_Wired], results: Sequence[PGresult]) -> list[Answer]:
        answers: list[Answer] = []
        coming = iter(results)
        for place, one in enumerate(wired):
            told = next(coming) if one.new else None
            result = told if told is not None and told.status != ExecStatus.COMMAND_OK else next(coming)
            if result.status not in _GOOD:
                self._forget([late for late in wired[place:] if late.new])
                raise error_from_result(result, encoding=self.info.encoding)
            answers.append(self._answer(result))
        return answers

    def _answer(self, result: PGresult) -> Answer:
        if result.status != ExecStatus.TUPLES_OK:
            return Answer([], result.command_tuples or 0)
        columns = [(result.fname(place) or b"").decode() for place in range(result.nfields)]
        self._adapter.set_pgresult(result)
        rows: list[Row] = self._adapter.load_rows(0, result.ntuples, lambda row: dict(zip(columns, row, strict=True)))
        return Answer(rows, result.ntuples)

    def _forget(self, told: Sequence[_Wired]) -> None:
        for one in told:
            self._kept.pop((one.query, one.types), None)


@cache
def _placed(sql: LiteralString) -> tuple[bytes, tuple[str, ...]]:
    """A statement with numbered places, and the names of its parameters in that order, if they have any."""
    names: dict[str, int] = {}
    numbers = count(1)

    def place(match: re.Match[str]) -> str:
        if match[1]:
            return "%"
        number = names.setdefault(match[2], len(names) + 1) if match[2] else next(numbers)
        return f"${number}"

    return _PLACE.sub(place, sql).encode(), tuple(names)


def _talk(pgconn: PGconn, expected: int) -> PQGen[list[PGresult]]:
    """Send what is queued; take so many answers and the end of the exchange."""
    results: list[PGresult] = []
    try:
        yield from send(pgconn)
        for _ in range(expected + 1):
            results += yield from fetch_many(pgconn)
    except psycopg.OperationalError:
        # Why the server hung up is told by its last answer, if there is one.
        if not results or results[-1].status != ExecStatus.FATAL_ERROR:
            raise
    return results
