"""Old partitions go to the object store: verified, then dropped; at no moment is a message in neither."""

import asyncio
import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.rows import DictRow

from ameide.errors import NotFound, Refused
from ameide.events.archive import Archiver, Held
from ameide.events.archive_format import CHUNK
from ameide.events.archived import Archive, ArchivedLog
from ameide.events.log import read
from ameide.events.messages import LoggedMessage
from ameide.events.outbox import append
from ameide.events.relay import Relay
from ameide.events.wakeups import Wakeups
from ameide.infra.object_store import ObjectStore
from ameide.storage.db import Database
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetFactRequest
from tests.conftest import SpineDatabase
from tests.log.world import TENANT, fill, message, opened, partitions, rows
from tests.views.readers import Readers
from tests.views.story import Story, told

SIZE, COUNT = 10, 57


@dataclass(frozen=True)
class Kept:
    """A log of small partitions that everybody has read, its keeper's connections, and the object store."""

    spine: SpineDatabase
    keeper: Database
    objects: ObjectStore

    @property
    def folder(self) -> Path:
        """Where the archive lies."""
        return Path(urlsplit(self.objects.location).path)

    def sql(self, statement: str, *parameters: object) -> list[DictRow]:
        """As the superuser."""
        return rows(self.spine, statement, *parameters)

    def passed(self) -> None:
        """Everybody has read everything."""
        self.sql("UPDATE ameide.cursor SET position = (SELECT position FROM ameide.log_head)")


@pytest.fixture
async def empty(database: SpineDatabase, tmp_path: Path) -> AsyncGenerator[Kept]:
    """Nothing was said yet."""
    async with opened(database.dsn("ameide_relay")) as keeper:
        yield Kept(database, keeper, ObjectStore((tmp_path / "objects").as_uri()))


@pytest.fixture
def kept(empty: Kept) -> Kept:
    """Five full partitions and the beginning of the sixth."""
    fill(empty.spine, COUNT, SIZE)
    empty.passed()
    return empty


async def whole_log(kept: Kept, after: int = 0) -> list[LoggedMessage]:
    async with kept.keeper.transaction(None) as tx:
        return await read(tx, after, 10_000)


async def everything(kept: Kept) -> list[LoggedMessage]:
    """Archive and log, each message where it is to be read."""
    found = [message async for chunk in ArchivedLog(kept.keeper, kept.objects).read(0) for message in chunk]
    first = partitions(kept.spine)[0][0]
    return [message for message in found if message.position < first] + await whole_log(kept, first - 1)


async def verified(kept: Kept) -> list[tuple[int, int]]:
    """The ranges that the archive has, every byte of them checked."""
    return [(one.first, one.last) async for one in ArchivedLog(kept.keeper, kept.objects).verify()]


async def archived(kept: Kept, *, keep: int = 0, before: datetime | None = None) -> tuple[list[Archive], Held]:
    """Run the archiver; what it did and what held it."""
    run = Archiver(kept.keeper, kept.objects).run(keep=keep, before=before)
    found = [step async for step in run]
    held = found.pop()
    assert isinstance(held, Held)
    return [one for one in found if isinstance(one, Archive)], held


async def test_what_everybody_has_read_moves_to_the_object_store(kept: Kept):
    before = await whole_log(kept)
    done, held = await archived(kept)
    full = len(before) // SIZE
    assert [(one.first, one.last) for one in done] == [(n * SIZE + 1, n * SIZE + SIZE) for n in range(full)]
    assert all(one.dropped_at is not None for one in done)
    assert "not full" in held.reason
    assert partitions(kept.spine)[0][0] == held.first == full * SIZE + 1
    assert await everything(kept) == before
    assert [one.last async for one in ArchivedLog(kept.keeper, kept.objects).verify()] == [one.last for one in done]
    assert await archived(kept) == ([], held)
    # The relay goes on behind it.
    async with opened(kept.spine.dsn("ameide_app")) as app, app.transaction(TENANT) as tx:
        append(tx, [message("later", 1)])
    assert await Relay(kept.keeper, Wakeups()).move() == 1
    assert (await everything(kept))[:-1] == before


async def test_any_program_can_read_the_archive(kept: Kept):
    before = await whole_log(kept)
    await archived(kept)
    files = sorted(kept.folder.rglob("*.jsonl.gz"))
    lines = [json.loads(line) for file in files for line in gzip.decompress(file.read_bytes()).splitlines()]
    assert [line["position"] for line in lines] == list(range(1, len(lines) + 1))
    assert [line["message_id"] for line in lines] == [message.message_id for message in before[: len(lines)]]


async def test_nothing_leaves_before_its_time(kept: Kept):
    head = COUNT
    now = datetime.now(UTC)
    done, held = await archived(kept, keep=head - SIZE + 1)
    assert (done, held.first) == ([], 1)
    assert "newest" in held.reason
    done, held = await archived(kept, before=now - timedelta(days=1))
    assert (done, held.first) == ([], 1)
    kept.sql("UPDATE ameide.cursor SET position = %s WHERE name = 'ingress'", SIZE + 5)
    done, held = await archived(kept, before=now + timedelta(days=1))
    assert [one.last for one in done] == [SIZE]
    assert held.reason.startswith(f"the ingress has come to {SIZE + 5} only")


async def test_the_database_refuses_to_drop_what_is_not_safe(kept: Kept):
    with pytest.raises(psycopg.errors.RaiseException, match="not archived"):
        async with kept.keeper.transaction(None) as tx:
            await tx.execute("SELECT ameide.drop_archived(1)")
    kept.sql(
        "INSERT INTO ameide.log_archive (first, last, manifest, manifest_sha256, bytes) VALUES (1, %s, '', '', 0)",
        SIZE,
    )
    kept.sql("UPDATE ameide.cursor SET position = %s WHERE name = 'projector'", SIZE - 1)
    with pytest.raises(psycopg.errors.RaiseException, match=f"has come to {SIZE - 1} only"):
        async with kept.keeper.transaction(None) as tx:
            await tx.execute("SELECT ameide.drop_archived(1)")
    assert partitions(kept.spine)[0][0] == 1


async def test_a_reader_of_the_log_is_not_waited_for_long(kept: Kept):
    async with kept.keeper.transaction(None) as reading:
        await reading.fetch_all("SELECT position FROM ameide.log")
        kept.sql(
            "INSERT INTO ameide.log_archive (first, last, manifest, manifest_sha256, bytes) VALUES (1, %s, '', '', 0)",
            SIZE,
        )
        async with kept.keeper.transaction(None) as tx:
            assert await tx.fetch_one("SELECT ameide.drop_archived(1) AS outcome") == {"outcome": "busy"}
    async with kept.keeper.transaction(None) as tx:
        assert await tx.fetch_one("SELECT ameide.drop_archived(1) AS outcome") == {"outcome": "dropped"}
        assert await tx.fetch_one("SELECT ameide.drop_archived(1) AS outcome") == {"outcome": "gone"}


async def test_one_flipped_byte_is_named(kept: Kept):
    await archived(kept)
    files = [file for file in sorted(kept.folder.rglob("*")) if file.is_file()]
    assert len(files) >= 4
    for file in files:
        whole = file.read_bytes()
        broken = bytearray(whole)
        broken[len(whole) // 2] ^= 1
        file.write_bytes(bytes(broken))
        with pytest.raises(Refused, match=file.name):
            [one async for one in ArchivedLog(kept.keeper, kept.objects).verify()]
        file.unlink()
        with pytest.raises(Refused, match=f"{file.name} is gone"):
            [one async for one in ArchivedLog(kept.keeper, kept.objects).verify()]
        file.write_bytes(whole)
    assert [one async for one in ArchivedLog(kept.keeper, kept.objects).verify()]


class Forgetful:
    """A store that gives back the second chunk with one byte changed."""

    def __init__(self, kept: Kept, what: str) -> None:
        self._objects = kept.objects
        self._what = what

    async def put_if_absent(self, uri: str, data: bytes) -> None:
        await self._objects.put_if_absent(uri, data)

    async def get(self, uri: str) -> bytes:
        data = await self._objects.get(uri)
        return data[:-9] + bytes([data[-9] ^ 1]) + data[-8:] if self._what in uri else data


@pytest.mark.parametrize("what", ["jsonl", "manifest"])
async def test_what_is_not_read_back_as_written_stays_in_the_log(kept: Kept, what: str):
    before = await whole_log(kept)
    with pytest.raises(Refused, match=what):
        [one async for one in Archiver(kept.keeper, Forgetful(kept, what)).run()]
    assert await whole_log(kept) == before
    assert await ArchivedLog(kept.keeper, kept.objects).list() == []


async def test_a_message_that_is_there_twice_stops_the_archive(kept: Kept):
    kept.sql(
        "UPDATE ameide.log SET message_id = (SELECT message_id FROM ameide.log WHERE position = 3) WHERE position = 4",
    )
    with pytest.raises(Refused, match="twice"):
        await archived(kept)
    assert partitions(kept.spine)[0][0] == 1


async def test_a_large_partition_is_written_in_chunks(empty: Kept):
    fill(empty.spine, CHUNK + 10, CHUNK + 10)
    empty.passed()
    before = await whole_log(empty)
    [one], held = await archived(empty)
    manifest = await ArchivedLog(empty.keeper, empty.objects).manifest(one)
    assert [(chunk.first, chunk.last) for chunk in manifest.chunks] == [(1, CHUNK), (CHUNK + 1, CHUNK + 10)]
    assert [m async for chunk in ArchivedLog(empty.keeper, empty.objects).read(0) for m in chunk] == before
    # Nothing is left in the database; the next partition begins behind the archive.
    assert held.reason == "the log is empty"
    empty.sql("SELECT ameide.extend_log(1, 10)")
    assert partitions(empty.spine) == []
    empty.sql("SELECT ameide.extend_log(%s, 10)", CHUNK + 11)
    assert partitions(empty.spine) == [(CHUNK + 11, CHUNK + 21)]


@pytest.fixture
async def story(readers: Readers) -> Story:
    """A change, in a log of small partitions."""
    rows(readers.spine, "SELECT ameide.extend_log(200, %s)", SIZE)
    return await told(readers)


async def test_an_archived_fact_is_shown_as_before(story: Story, empty: Kept):
    readers = story.readers
    empty.passed()
    client, stranger = await readers.reader(), await readers.reader(tenant="other")
    asked = [GetFactRequest(message_id=message.message_id) for message in await whole_log(empty)]
    before = [await client.queries.get_fact(request) for request in asked]
    done = [one async for one in Archiver(empty.keeper, readers.objects).run()]
    assert len(done) > 1
    assert [await client.queries.get_fact(request) for request in asked] == before
    with pytest.raises(NotFound):
        await stranger.queries.get_fact(asked[0])


POINTS = (
    "archive.chunk.before",
    "archive.chunk.after",
    "archive.manifest.after",
    "archive.record.before_commit",
    "archive.record.after_commit",
    "archive.drop.before_commit",
    "archive.drop.after_commit",
)


async def test_killed_between_any_two_steps_and_run_again(kept: Kept):
    before = await whole_log(kept)
    keep = COUNT - 2 * SIZE

    async def run(point: str) -> int | None:
        arguments = (kept.spine.dsn("ameide_relay"), kept.objects.location, str(keep), point)
        running = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.log.archive_process", *arguments)
        return await running.wait()

    for point in POINTS:
        assert await run(point) == -signal.SIGKILL, point
        assert await everything(kept) == before, point
    done, held = await archived(kept, keep=keep)
    assert [(one.first, one.last) for one in done] == [(SIZE + 1, 2 * SIZE)]
    assert held.first == partitions(kept.spine)[0][0] == 2 * SIZE + 1
    assert await everything(kept) == before
    assert await verified(kept) == [(1, SIZE), (SIZE + 1, 2 * SIZE)]
    # Nothing was written twice under another name.
    assert len([file for file in kept.folder.rglob("*") if file.is_file()]) == 4


async def test_the_command_says_what_it_did_and_what_stays(kept: Kept, tmp_path: Path):
    environment = {
        **os.environ,
        "AMEIDE_STATE_DIR": str(tmp_path / "state"),
        "AMEIDE_DATABASE_URL_APP": kept.spine.dsn("ameide_app"),
        "AMEIDE_DATABASE_URL_RELAY": kept.spine.dsn("ameide_relay"),
        "AMEIDE_OBJECT_STORE": kept.objects.location,
    }

    async def ameide(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ameide", "archive", *arguments]
        return await asyncio.to_thread(
            subprocess.run, command, env=environment, capture_output=True, text=True, timeout=120
        )

    done = await ameide("--keep", "20")
    assert done.returncode == 0, done.stderr
    [first, *_] = lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert first.startswith("1 to 10  store:log/")
    assert "The log from 31 on stays: " in done.stderr
    for file in kept.folder.rglob("*.jsonl.gz"):
        file.write_bytes(b"\0" + file.read_bytes()[1:])
    broken = await ameide("verify")
    assert broken.returncode == 1
    assert "positions 1 to 10" in broken.stderr
