"""The log: the one record, read in its one order by whoever holds the cursor (contracts 8)."""

from __future__ import annotations

from collections.abc import Sequence

from ameide.errors import Internal, InvalidArgument
from ameide.events.messages import LoggedMessage
from ameide.storage.db import Database, Transaction
from ameide.storage.sql import load

_SQL = load("events")


async def lock_cursor(tx: Transaction, name: str) -> int | None:
    """The watermark of a consumer, locked until the transaction ends; None while another replica holds it."""
    row = await tx.fetch_one(_SQL["lock_cursor"], {"name": name})
    return None if row is None else int(row["position"])


async def wait_for_cursor(tx: Transaction, name: str) -> None:
    """Lock the watermark, waiting for whoever holds it. Raises InvalidArgument when no such consumer exists."""
    if await tx.fetch_one(_SQL["wait_for_cursor"], {"name": name}) is None:
        raise InvalidArgument(
            f"there is no consumer {name}",
            field="CONSUMER",
            remedy="`ameide events parked` names those that set messages aside",
        )


async def advance_cursor(tx: Transaction, name: str, position: int) -> None:
    """Move the watermark with the commit, in the transaction of the effect or after it."""
    tx.later(_SQL["advance_cursor"], {"name": name, "position": position})


async def keep_place(db: Database, name: str, *, wanted: bool) -> None:
    """Give a consumer that need not be there its place, at the end of the log if it has none, or take it away."""
    async with db.transaction(None) as tx:
        await tx.execute(_SQL["begin_cursor" if wanted else "drop_cursor"], {"name": name})


async def read(tx: Transaction, after: int, limit: int) -> list[LoggedMessage]:
    """At most `limit` messages behind the position, in order, without a gap.

    Raises Internal when those next to the position have left the log for the archive: nobody skips what is archived.
    """
    rows = await tx.fetch_all(_SQL["read_log"], {"after": after, "limit": limit})
    if rows and rows[0]["position"] != after + 1:
        raise Internal(
            f"the log begins at {rows[0]['position']}, what follows {after} is in the archive",
            remedy="A consumer's cursor is never set back; `ameide projection rebuild` reads archive and log",
        )
    return [LoggedMessage.of(row) for row in rows]


async def attested(db: Database, messages: Sequence[LoggedMessage]) -> frozenset[LoggedMessage]:
    """Those of the messages that the log has, word for word, at the positions that they name.

    What is in the archive is not among them: each consumer has passed it. `db` is of a role that reads the log.
    """
    async with db.transaction(None) as tx:
        rows = await tx.fetch_all(_SQL["at"], {"positions": [message.position for message in messages]})
    return frozenset(messages) & {LoggedMessage.of(row) for row in rows}
