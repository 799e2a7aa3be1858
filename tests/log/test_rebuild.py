"""The read model made again from archive and log: the very bytes, whatever goes on meanwhile and wherever it ends."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import pytest
from psycopg.rows import DictRow

from ameide.errors import Refused, Unreachable
from ameide.events.archive import Archiver
from ameide.events.archived import Archive, ArchivedLog
from ameide.events.outbox import append
from ameide.events.parking import list_parked, redrive
from ameide.events.wakeups import Wakeups
from ameide.storage.db import Database
from ameide.views import rebuild as rebuilding
from ameide.views.projector import Projector
from ameide.views.rebuild import Rebuild
from ameide.views.shadow import TABLES
from ameide_core_proto.transformation.governance.v1.query_service_pb import (
    GetRepositoryRequest,
    ListRepositoriesRequest,
)
from tests.log.facts import all_read_by_ingress, say_facts
from tests.log.rebuild_at_scale import digest, measure
from tests.log.world import TENANT, message, opened, rows
from tests.views.readers import Readers

FACTS, PARTITION = 300, 100
FORM = """
SELECT c.relname AS table, c.relrowsecurity, c.relforcerowsecurity, c.reloptions, c.relowner::regrole::text AS owner,
    (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(c.relacl) AS a) AS rights,
    (SELECT array_agg(pg_get_indexdef(indexrelid) ORDER BY 1) FROM pg_index WHERE indrelid = c.oid) AS indexes,
    (SELECT array_agg(p::text ORDER BY p.policyname) FROM pg_policies p
     WHERE p.schemaname = 'ameide' AND p.tablename = c.relname) AS policies,
    (SELECT array_agg(attname || ' ' || atttypid::regtype || ' ' || attnotnull ORDER BY attnum) FROM pg_attribute
     WHERE attrelid = c.oid AND attnum > 0) AS columns
FROM pg_class c WHERE c.relnamespace = 'ameide'::regnamespace AND c.relname = ANY(%s) ORDER BY 1
"""


@dataclass(frozen=True)
class Projected:
    """Facts that the live projector has, the older half of them archived."""

    readers: Readers
    keeper: Database
    projecting: Database

    @property
    def rebuild(self) -> Rebuild:
        return Rebuild(self.projecting, ArchivedLog(self.projecting, self.readers.objects), lambda done, total: None)

    def sql(self, statement: str, *parameters: object) -> list[DictRow]:
        """As the superuser."""
        return rows(self.readers.spine, statement, *parameters)

    def digest(self) -> str:
        """Of the live read model."""
        return digest(self.readers.spine)

    def form(self) -> list[DictRow]:
        """What the live tables are besides their rows."""
        return self.sql(FORM, list(TABLES))

    def shadows(self) -> list[DictRow]:
        """The shadow tables that are there."""
        return self.sql(
            "SELECT relname FROM pg_class WHERE relnamespace = 'ameide_shadow'::regnamespace AND relkind = 'r'"
        )


@pytest.fixture
async def projected(readers: Readers) -> AsyncGenerator[Projected]:
    """See `Projected`."""
    spine = readers.spine
    async with opened(spine.dsn("ameide_relay")) as keeper, opened(spine.dsn("ameide_projector"), 6) as projecting:
        await say_facts(readers, keeper, FACTS, partition=PARTITION)
        await readers.caught_up()
        all_read_by_ingress(spine)
        archiver = Archiver(keeper, readers.objects)
        archived = [step async for step in archiver.run(keep=FACTS // 2) if isinstance(step, Archive)]
        assert archived
        yield Projected(readers, keeper, projecting)


async def test_thousands_of_facts_half_of_them_archived_give_the_same_bytes(readers: Readers):
    figures = await measure(readers.spine, 5_000, print)
    assert figures.messages >= 5_000
    assert 0.4 * figures.messages <= figures.archived <= 0.6 * figures.messages
    assert figures.equal


async def test_the_rebuilt_tables_are_like_the_old_ones(projected: Projected):
    before, form = projected.digest(), projected.form()
    old = projected.sql("SELECT 'ameide.view_state'::regclass::oid AS oid")
    rows(projected.readers.spine, "ALTER TABLE ameide.view_state SET (fillfactor = 80)")
    assert await projected.rebuild.swap() == projected.readers.head()
    assert projected.digest() == before
    assert projected.sql("SELECT 'ameide.view_state'::regclass::oid AS oid") != old
    rows(projected.readers.spine, "ALTER TABLE ameide.view_state RESET (fillfactor)")
    assert projected.form() == form
    assert projected.shadows() == []


async def test_a_difference_is_named_and_nothing_is_changed(projected: Projected):
    projected.sql("UPDATE ameide.view_state SET status = 'odd' WHERE kind = 'gate'")
    projected.sql("DELETE FROM ameide.view_fact WHERE position = 7")
    projected.sql("INSERT INTO ameide.view_process VALUES ('acme', 'r2r/acme/c/1', 'c', '', '', 3)")
    before = projected.digest()
    position, found = await projected.rebuild.compare()
    assert position == projected.readers.head()
    fact, state, process = found
    assert (fact.table, fact.count, fact.live) == ("view_fact", 1, None)
    assert fact.rebuilt is not None
    assert fact.rebuilt["position"] == 7
    assert (state.table, state.columns) == ("view_state", ["status"])
    assert state.count == len(projected.sql("SELECT 1 FROM ameide.view_state WHERE kind = 'gate'"))
    assert (process.table, process.count, process.rebuilt) == ("view_process", 1, None)
    assert projected.digest() == before
    assert projected.shadows() == []
    await projected.rebuild.swap()
    assert (await projected.rebuild.compare())[1] == []


@pytest.mark.parametrize(
    "point", ["rebuild.batch.after_commit", "rebuild.finish.after_commit", "rebuild.swap.before_commit"]
)
async def test_a_rebuild_that_is_killed_has_changed_nothing(projected: Projected, point: str):
    before, form = projected.digest(), projected.form()
    arguments = (projected.readers.spine.dsn("ameide_projector"), projected.readers.objects.location, point)
    killed = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.log.rebuild_process", *arguments)
    assert await killed.wait() == -signal.SIGKILL
    assert (projected.digest(), projected.form()) == (before, form)
    await projected.rebuild.swap()
    assert (projected.digest(), projected.form()) == (before, form)


async def test_the_live_projector_and_its_readers_go_on_meanwhile(projected: Projected):
    readers = projected.readers
    client = await readers.reader()
    registered = (await client.queries.list_repositories(ListRepositoriesRequest())).repositories
    [orders] = [repository for repository in registered if repository.name == "orders"]
    ended = asyncio.Event()

    async def said() -> int:
        count = 0
        while not ended.is_set():
            await readers.world.register(f"repository-{count}")
            await readers.caught_up()
            count += 1
        return count

    async def read() -> int:
        count = 0
        while not ended.is_set():
            answer = await client.queries.get_repository(GetRepositoryRequest(repository_id=orders.repository_id))
            assert answer.repository == orders
            count += 1
        return count

    saying, reading = asyncio.create_task(said()), asyncio.create_task(read())
    for _ in range(2):
        await projected.rebuild.swap()
    ended.set()
    assert await saying > 0
    assert await reading > 0
    await readers.caught_up()
    assert (await projected.rebuild.compare())[1] == []


async def test_only_one_rebuild_runs(projected: Projected):
    async with projected.projecting.transaction(None) as tx:
        await tx.execute("SELECT pg_advisory_xact_lock(5272, 1)")
        with pytest.raises(Refused, match="another rebuild"):
            await projected.rebuild.swap()


async def test_readers_that_never_end_leave_the_live_tables_in_place(
    projected: Projected, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(rebuilding, "_TRIES", 1)
    before, form = projected.digest(), projected.form()
    async with projected.readers.world.app.transaction("default") as reading:
        await reading.fetch_all("SELECT 1 FROM ameide.view_state LIMIT 1")
        with pytest.raises(Unreachable, match="keeps reading"):
            await projected.rebuild.swap()
    assert (projected.digest(), projected.form()) == (before, form)
    await projected.rebuild.swap()
    assert (projected.digest(), projected.form()) == (before, form)


NOT_A_MESSAGE, UNKNOWN_CASE = b"\xff\xff", b"\xfa\x7d\x00"


async def _set_aside(projected: Projected) -> None:
    """Two messages of one key wait aside in the live projector, and others have followed."""
    readers = projected.readers
    async with readers.world.app.transaction(TENANT) as tx:
        append(tx, [message("w1", 1, payload=NOT_A_MESSAGE), message("w1", 2, payload=UNKNOWN_CASE)])
    await readers.world.register("after")
    await readers.caught_up()
    assert len(await list_parked(projected.projecting)) == 2


async def test_what_is_parked_waits_in_the_rebuilt_read_model_too(projected: Projected):
    await _set_aside(projected)
    assert (await projected.rebuild.compare())[1] == []
    await projected.rebuild.swap()
    projected.sql("UPDATE ameide.parked SET payload = %s", UNKNOWN_CASE)
    assert await redrive(projected.projecting, "projector", f"{TENANT}:w1") == 2
    await projected.readers.caught_up()
    assert await list_parked(projected.projecting) == []


class _Released(Rebuild):
    """While it fills, somebody redrives what was parked."""

    async def _filled(self) -> rebuilding._Place:  # pyright: ignore[reportPrivateUsage]
        place = await super()._filled()
        assert place.waiting
        assert await redrive(self._db, "projector", f"{TENANT}:w1") == 2
        while await Projector(self._db, Wakeups()).step():
            pass
        return place


async def test_what_is_released_meanwhile_is_projected_here_too(projected: Projected):
    readers = projected.readers
    async with readers.world.app.transaction(TENANT) as tx:
        append(tx, [message("w1", 1, payload=NOT_A_MESSAGE), message("w1", 2, payload=NOT_A_MESSAGE)])
    await readers.caught_up()
    [real] = projected.sql("SELECT topic, payload FROM ameide.log WHERE aggregate_type = 'gate' LIMIT 1")
    projected.sql("UPDATE ameide.parked SET payload = %s, topic = %s", real["payload"], real["topic"])
    archived = ArchivedLog(projected.projecting, readers.objects)
    await _Released(projected.projecting, archived, lambda done, total: None).swap()
    assert await list_parked(projected.projecting) == []
    seen = projected.sql("SELECT position FROM ameide.view_fact WHERE aggregate_id = 'w1' ORDER BY 1")
    head = readers.head()
    assert [row["position"] for row in seen] == [head - 1, head]


async def test_a_message_that_cannot_be_projected_stops_the_rebuild(projected: Projected):
    before = projected.digest()
    [last] = projected.sql(
        "UPDATE ameide.log SET payload = %s WHERE position = %s RETURNING position", NOT_A_MESSAGE, FACTS
    )
    with pytest.raises(Refused, match=f"at {last['position']} cannot be projected"):
        await projected.rebuild.swap()
    assert projected.digest() == before
