"""One protection taken away at a time, whole, with what backs it up: what the oracle must then see.

Each patches the program in the process that calls it, and needs the database changed by the statement of the same name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from ameide.domain import service
from ameide.domain.decisions import work_claim, work_outcome
from ameide.domain.decisions.work import Claim
from ameide.events.log import advance_cursor, lock_cursor, read
from ameide.process.workflows.delegation import TERMINAL
from ameide.process.workflows.inbox import DomainFact, Inbox, Known, key_of
from ameide.views import projector
from ameide_core_proto.common.v1.metadata_pb import AggregateRef, MessageMetadata
from ameide_core_proto.transformation.work.v1.work_pb import WorkRequest

Patch = pytest.MonkeyPatch


def no_mutation(_patch: Patch) -> None:
    """The program as it is."""


def no_fence(patch: Patch) -> None:
    """An outcome counts whoever says it and whenever: no check of the claim, its lease or an earlier outcome."""

    def whoever(_work: WorkRequest, claim: Claim | None, *_named: object) -> Claim:
        assert claim is not None
        return claim

    def never(*_named: object) -> bool:
        return False

    patch.setattr(work_claim, "need_current", whoever)
    patch.setattr(work_outcome, "is_replay", never)


def no_deduplication(patch: Patch) -> None:
    """A run hears every fact as news, without tombstones, versions and ids, and takes any work's end for its own."""

    def take(self: Inbox, fact: DomainFact) -> bool:
        aggregate = fact.aggregate or AggregateRef()
        newer = Known(aggregate.version, [(fact.metadata or MessageMetadata()).message_id])
        if fact.fact is None or not newer.learn(fact.fact.value):
            return False
        self.known[key_of(aggregate.type, aggregate.id)] = newer
        return True

    def about(self: Inbox, kind: str, aggregate_id: str) -> Known | None:
        ended = [known for known in self.known.values() if known.work and known.work.status in TERMINAL]
        return ended[0] if kind == "work" and ended else self.known.get(key_of(kind, aggregate_id))

    patch.setattr(Inbox, "take", take)
    patch.setattr(Inbox, "about", about)


def no_stored_response(patch: Patch) -> None:
    """A command runs as often as it is sent."""
    queries = cast("dict[str, str]", vars(service)["_SQL"])
    opened = queries["open_command"].replace("SELECT now, fingerprint", "SELECT now, NULL AS fingerprint")
    patch.setitem(queries, "open_command", opened)


def no_head_lock(_patch: Patch) -> None:
    """Whoever reads the head moves: in the database alone."""


def cursor_first(patch: Patch) -> None:
    """The projector moves its cursor in a transaction of its own, before it writes."""

    async def step(self: projector.Projector) -> int:
        async with self._db.transaction(None) as tx:  # pyright: ignore[reportPrivateUsage]
            position = await lock_cursor(tx, projector.CONSUMER)
            batch = [] if position is None else await read(tx, position, self._batch)  # pyright: ignore[reportPrivateUsage]
            if batch:
                await advance_cursor(tx, projector.CONSUMER, batch[-1].position)
        if batch:
            async with self._db.transaction(None, point="projector.batch") as tx:  # pyright: ignore[reportPrivateUsage]
                await self._apply(tx, batch, set())  # pyright: ignore[reportPrivateUsage]
        return len(batch)

    patch.setattr(projector.Projector, "step", step)


MUTATIONS: dict[str, Callable[[Patch], None]] = {
    made.__name__: made
    for made in (no_mutation, no_fence, no_deduplication, no_stored_response, no_head_lock, cursor_first)
}
STATEMENTS = {
    "no_fence": "ALTER TABLE ameide.evidence DROP CONSTRAINT evidence_pkey",
    "no_stored_response": "ALTER TABLE ameide.idempotency DROP CONSTRAINT idempotency_pkey",
    "no_head_lock": """DO $do$ BEGIN
        ALTER TABLE ameide.log DROP CONSTRAINT log_pkey;
        EXECUTE replace(pg_get_functiondef('ameide.move_outbox'::regproc), 'FOR UPDATE SKIP LOCKED', '');
    END $do$""",
}
