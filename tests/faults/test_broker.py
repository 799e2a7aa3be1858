"""Kafka under an installation: the broker dies, the forwarder dies, the carrier changes, and nothing is lost by it."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.engines.kafka import broker_in
from tests.engines.kafka.broker import KafkaBroker
from tests.faults.oracle import examine
from tests.faults.rig import loads
from tests.faults.rig.client import RigClient
from tests.faults.rig.installation import PATIENCE, Rig, by_kafka, rig
from tests.faults.rig.matrix import clients_of, play
from tests.faults.rig.points import ROWS
from tests.faults.rig.policies import PLAIN, RELEASING
from tests.faults.rig.quiet import until_quiet
from tests.faults.rig.running import say

HANDFUL = ("forwarder.publish.after", "forwarder.position.before_commit")


@dataclass(frozen=True)
class Stage:
    """An installation by Kafka under load, and its broker."""

    installation: Rig
    client: RigClient
    broker: KafkaBroker

    async def check(self) -> None:
        """All comes to rest, and the oracle finds nothing."""
        assert await until_quiet(self.installation.settings.database_url_admin, PATIENCE) == ""
        verdict = await examine(self.installation.folder.root)
        assert verdict.lines == []


@pytest.fixture(scope="module")
async def stage(cache_dir: Path) -> AsyncGenerator[Stage]:
    """Everything goes by Kafka that can."""
    folder = Path(tempfile.mkdtemp(prefix="ameide-broker-"))
    broker = broker_in(folder / "kafka", cache_dir)
    with broker:
        async with rig(folder / "run", say, **by_kafka(broker)) as installation:
            await installation.start_all()
            async with clients_of(installation) as client:
                yield Stage(installation, client, broker)
    shutil.rmtree(folder)


async def test_runs_end_while_the_broker_is_away_and_comes_back(stage: Stage) -> None:
    before = await loads.start_run(stage.client, PLAIN)
    await asyncio.to_thread(stage.broker.kill)
    during = await loads.start_run(stage.client, RELEASING)
    await loads.direct(stage.client)
    await asyncio.to_thread(stage.broker.start)
    await stage.check()
    assert before != during


async def test_a_forwarder_that_is_killed_leaves_nothing_out(stage: Stage) -> None:
    rows = [row for row in ROWS if row.point in HANDFUL]
    assert len(rows) == len(HANDFUL)
    folder = stage.installation.folder.root
    results = [one async for one in play(stage.installation, stage.client, rows, lambda: examine(folder))]
    assert [str(result) for result in results if not result.ok] == []
    assert len(results) == len(HANDFUL)
