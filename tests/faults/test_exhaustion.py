"""No free connection, no room on the disk: a clear error, nothing is written, and afterwards work goes on."""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from ameide.domain.commands import work_requests
from ameide.domain.service import Service
from ameide.engine.engine import Engine
from ameide.engine.postgres import PostgresAddress
from ameide.errors import Unreachable
from ameide.storage.db import Database
from ameide.storage.migrate import migrate
from ameide_core_proto.transformation.work.v1 import command_service_pb as pb
from ameide_core_proto.transformation.work.v1.work_pb import WorkInputs
from tests.conftest import SpineDatabase
from tests.domain_work.world import PROCESS, verify
from tests.faults.judging import consult
from tests.faults.scene import Scene, opened

ROOM = 24 * 1024 * 1024


async def test_a_pool_without_a_free_connection_says_so_and_recovers(scene: Scene, database: SpineDatabase) -> None:
    narrow = Database(database.dsn("ameide_app"), max_size=1, timeout=0.3)
    await narrow.open()
    service, command = Service(narrow, lambda: None), verify()

    async def request() -> pb.RequestWorkResponse:
        return await service.execute(
            PROCESS, "RequestWork", command, pb.RequestWorkResponse, work_requests.request_work
        )

    async with narrow.transaction("default"):
        with pytest.raises(Unreachable, match="no database connection became free in time") as refused:
            await request()
        assert "raise the pool's size" in refused.value.remedy
    assert not (await request()).idempotent_replay
    await narrow.close()


@pytest.fixture
def small_disk(session_engine: Engine, postgres_server: PostgresAddress) -> Iterator[Path]:
    """A folder of the database server on a disk of 24 MB."""
    if os.geteuid():
        pytest.fail("mounting a small disk takes root: run this test as root")
    assert postgres_server.port
    cluster = session_engine.postgres.cluster()
    folder = cluster.home / f"small-{secrets.token_hex(4)}"
    folder.mkdir()
    _mount(folder, f"size={ROOM}")
    try:
        if cluster.account:
            os.chown(folder, cluster.account.uid, cluster.account.gid)
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


def _mount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)


@pytest.fixture
def small_database(
    small_disk: Path, postgres_server: PostgresAddress, database: SpineDatabase
) -> Iterator[SpineDatabase]:
    """A database whose tables lie there; its log of writes does not."""
    name = f"small_{secrets.token_hex(4)}"
    there = sql.Identifier(name)
    with psycopg.connect(replace(postgres_server, dbname="postgres").conninfo, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE TABLESPACE {} LOCATION {}").format(there, str(small_disk)))
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0 TABLESPACE {}").format(there, there))
        small = replace(database.address, dbname=name)
        asyncio.run(migrate(small.conninfo))
        yield SpineDatabase(small)
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(there))
        admin.execute(sql.SQL("DROP TABLESPACE {}").format(there))


async def test_a_full_disk_says_so_and_recovers(
    small_database: SpineDatabase, small_disk: Path, tmp_path: Path
) -> None:
    async with opened(small_database, tmp_path) as scene:
        command, full = await _fill(scene)
        assert "lacks room" in full.message
        assert "Make room on its disk" in full.remedy
        await asyncio.to_thread(_mount, small_disk, f"remount,size={4 * ROOM}")
        await scene.request(command)
        for row in scene.world.sql("SELECT work_request_id FROM ameide.work"):
            await scene.world.cancel(str(row["work_request_id"]))
        await scene.rest()
        assert consult(tmp_path) == (0, "lost 0, doubled 0, unquiet 0\n")


async def _fill(scene: Scene) -> tuple[pb.RequestWorkRequest, Unreachable]:
    """Request works until one of them has no room; that one, and the error."""
    while True:
        command = verify()
        command.inputs = WorkInputs(requirement_text=secrets.token_hex(30_000))
        try:
            await scene.request(command)
        except Unreachable as error:
            return command, error
