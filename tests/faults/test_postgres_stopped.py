"""PostgreSQL stopped at once, in the middle of many requests: what was acknowledged is there when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from ameide.engine.engine import Engine
from ameide.errors import Unreachable
from ameide.storage.migrate import ensure_roles, migrate
from ameide_core_proto.transformation.work.v1 import command_service_pb as pb
from tests.conftest import SpineDatabase, role_passwords
from tests.domain_work.world import verify
from tests.faults.judging import consult
from tests.faults.scene import Scene, opened
from tests.faults.served import until

CLIENTS = 8
BEFORE_THE_STOP = 40


@pytest.fixture
def own_engine(state_dir: Path, cache_dir: Path) -> Iterator[Engine]:
    """A server of its own, which others don't need."""
    engine = Engine(state_dir, cache_dir, say=lambda line: print(line, flush=True))
    yield engine
    engine.stop()
    engine.purge()


async def _request(scene: Scene, stopped: asyncio.Event) -> list[pb.RequestWorkRequest]:
    """Request works until the server was stopped; returns what got no answer."""
    while not stopped.is_set():
        command = verify()
        try:
            await scene.request(command)
        except Unreachable:
            await stopped.wait()
            return [command]
    return []


def _acknowledged(folder: Path) -> int:
    journal = folder / "acknowledged.jsonl"
    return len(journal.read_text(encoding="utf-8").splitlines()) if journal.exists() else 0


def _stop_at_once(engine: Engine) -> None:
    """As when the machine loses its power, but for the disk's own cache."""
    cluster = engine.postgres.cluster()
    done = cluster.run("pg_ctl", ["stop", "-m", "immediate", "-w", "-s", "-D", cluster.data])
    assert done.returncode == 0, done.stderr


async def test_what_was_acknowledged_survives(own_engine: Engine, tmp_path: Path) -> None:
    address = await asyncio.to_thread(own_engine.start_postgres)
    await ensure_roles(address.conninfo, role_passwords())
    await migrate(address.conninfo)
    async with opened(SpineDatabase(address), tmp_path) as scene:
        stopped = asyncio.Event()
        clients = [asyncio.create_task(_request(scene, stopped)) for _ in range(CLIENTS)]

        async def under_load() -> bool:
            return _acknowledged(tmp_path) >= BEFORE_THE_STOP

        await until(under_load, "the load")
        await asyncio.to_thread(_stop_at_once, own_engine)
        stopped.set()
        await asyncio.to_thread(own_engine.start_postgres)
        unanswered = [command for client in clients for command in await client]
        for command in unanswered:
            await scene.request(command)
        for row in scene.world.sql("SELECT work_request_id FROM ameide.work"):
            await scene.world.cancel(str(row["work_request_id"]))
        await scene.rest()
    assert _acknowledged(tmp_path) > BEFORE_THE_STOP
    assert consult(tmp_path) == (0, "lost 0, doubled 0, unquiet 0\n")
