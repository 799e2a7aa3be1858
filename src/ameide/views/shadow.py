"""The shadow tables of a rebuild: written by COPY, under the rules by which the live tables are written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import LiteralString, cast

from ameide.storage.db import Transaction
from ameide.storage.sql import load
from ameide.views.projection import Rows

TABLES = ("view_fact", "view_state", "view_process")
_SQL = load("rebuild")
_FACT_TYPES = (*("text", "int8"), *("text",) * 3, "timestamptz", *("text",) * 4, "int8", *("text",) * 5)
_STATE_TYPES = (*("text",) * 3, "int8", *("text",) * 4, "int8", "int8", "bytea")


def _of_shadow(name: str) -> LiteralString:
    """The statement by which the live projector writes, for the shadow table."""
    return load("views")[name].replace("ameide.view_", "ameide_shadow.view_")


def _from_incoming(statement: LiteralString) -> LiteralString:
    return cast("LiteralString", re.sub(r"VALUES \([%s, ]+\)", "SELECT * FROM pg_temp.incoming", statement, count=1))


# One rule for what a newer state does to an older one, wherever it is written.
_PUT_STATES = _from_incoming(_of_shadow("put_state"))
_PUT_PROCESS = _of_shadow("put_process")


@dataclass(frozen=True, slots=True)
class Difference:
    """How a live table differs from its rebuilt one: in how many rows, and the first. A side without it is None."""

    table: str
    count: int
    live: dict[str, object] | None
    rebuilt: dict[str, object] | None

    @property
    def columns(self) -> list[str]:
        """The columns in which the first row differs; empty when one side does not have it."""
        if self.live is None or self.rebuilt is None:
            return []
        return [name for name, value in self.live.items() if self.rebuilt[name] != value]


async def write_shadow(tx: Transaction, rows: Rows) -> None:
    """Write folded rows behind what is there."""
    if rows.facts:
        await tx.copy(_SQL["copy_facts"], rows.facts, _FACT_TYPES)
    if rows.states:
        await tx.execute(_SQL["make_incoming"])
        await tx.copy(_SQL["copy_states"], rows.states, _STATE_TYPES)
        await tx.execute(_PUT_STATES)
    if rows.processes:
        await tx.execute_many(_PUT_PROCESS, rows.processes)


async def difference(tx: Transaction, table: str) -> Difference | None:
    """The difference of a live table from its shadow, or None when they are equal."""
    row = await tx.fetch_one(_SQL[f"differs_{table}"])
    return None if row is None else Difference(table, row["count"], row["live"], row["rebuilt"])
