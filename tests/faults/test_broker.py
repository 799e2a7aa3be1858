"""Kafka under an installation: the broker dies, the forwarder dies, the carrier changes, and nothing is lost by it."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ameide.contracts.transports import Transports
from ameide.events.carriage import topics_of
from tests.engines.kafka import broker_in
from tests.engines.kafka.broker import KafkaBroker
from tests.faults.oracle import examine
from tests.faults.rig import loads
from tests.faults.rig.client import RigClient
from tests.faults.rig.installation import PATIENCE, Rig, by_kafka, rig
from tests.faults.rig.matrix import clients_of
from tests.faults.rig.policies import PLAIN, RELEASING
from tests.faults.rig.quiet import until_quiet
from tests.faults.rig.running import say
from tests.faults.rig.steps import SLOW

SOME = ("coder=kafka", "verify=kafka")


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


async def test_broker_and_forwarder_die_under_load_and_the_topics_have_everything(stage: Stage) -> None:
    installation, client = stage.installation, stage.client
    await loads.start_run(client, PLAIN)
    await asyncio.to_thread(stage.broker.kill)
    # The doors answer meanwhile.
    await loads.start_run(client, RELEASING)
    await loads.direct(client)
    await installation.restart("forwarder", crash_at="forwarder.publish.after")
    await asyncio.to_thread(stage.broker.start)
    dying = installation.members["forwarder"]
    async with asyncio.timeout(PATIENCE):
        await dying.ended.wait()
    assert dying.killed
    await installation.start("forwarder")
    await stage.check()


async def test_the_carrier_changes_there_and_back_while_runs_and_works_are_open(stage: Stage) -> None:
    installation, client = stage.installation, stage.client
    # From now on some facts go another way, so the topics alone do not tell.
    installation.describe(kafka_brokers="")
    held = await loads.until_coding(client)
    for facts, queues in (("postgres", ()), ("kafka", SOME)):
        for name in (PLAIN, RELEASING, PLAIN):
            await loads.start_run(client, name)
        works = [await loads.request(client, summary=f"{SLOW}3") for _ in range(2)]
        changing = asyncio.create_task(installation.carry(facts, queues))
        await loads.start_run(client, PLAIN)
        await loads.direct(client)
        await changing
        assert len({work.work_request_id for work in works}) == len(works)
    await loads.cancel_change(client, held)
    await stage.check()
    carried = {row[0] for row in await installation.sql("SELECT topic FROM ameide.carriage WHERE by_kafka")}
    assert carried == topics_of(Transports.of("kafka", SOME))
