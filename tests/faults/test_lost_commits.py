"""A connection cut while it commits: the same request gives the one answer, whether the COMMIT arrived or not."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Literal

import pytest

from ameide.errors import Unreachable
from ameide_core_proto.transformation.work.v1.command_service_pb import ClaimAnswer
from tests.conftest import SpineDatabase
from tests.domain_work.world import Claimed, caller, key, success, verify
from tests.faults.judging import consult
from tests.faults.proxy import Wire, wire
from tests.faults.scene import Scene, opened

When = Literal["before", "after"]


@pytest.fixture
async def line(database: SpineDatabase) -> AsyncGenerator[Wire]:
    """The Domain's way to its database."""
    async with wire(database) as made:
        yield made


@pytest.fixture
async def cut_scene(database: SpineDatabase, line: Wire, tmp_path: Path) -> AsyncGenerator[Scene]:
    """A Domain behind that wire."""
    async with opened(database, tmp_path, line.dsn("ameide_app")) as scene:
        yield scene


@pytest.mark.parametrize("when", ["before", "after"])
async def test_request_claim_and_outcome(cut_scene: Scene, line: Wire, when: When) -> None:
    world = cut_scene.world
    command = verify()
    line.cut = when
    with pytest.raises(Unreachable):
        await world.request(command)
    answer = await world.request(command)
    assert answer.idempotent_replay == (when == "after")
    work = await cut_scene.request(command)
    assert work == answer.work

    executor, claim = caller("verifier", "executor", queues=(work.queue,)), key()
    line.cut = when
    with pytest.raises(Unreachable):
        await world.claim(work.work_request_id, executor, claim)
    run = await world.claim(work.work_request_id, executor, claim)
    assert (run.answer, run.attempt) == (ClaimAnswer.RUN, 1)

    await cut_scene.rest()
    lease = world.sql("SELECT claim_id FROM ameide.attempt")
    assert lease == [{"claim_id": claim}]
    claimed = Claimed(work, 1, claim, executor)
    cut_scene.act(claimed)
    line.cut = when
    with pytest.raises(Unreachable):
        await world.outcome(claimed, success(claimed))
    outcome = await world.outcome(claimed, success(claimed))
    assert outcome.idempotent_replay == (when == "after")
    assert line.cuts == 3
    await cut_scene.rest()
    assert consult(cut_scene.folder) == (0, "lost 0, doubled 0, unquiet 0\n")
