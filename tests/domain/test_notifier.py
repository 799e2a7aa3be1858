"""Whoever is to be told of a waiting gate is told at least once, in order, and nobody's silence holds up the others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from ameide.delivery.notify.notice import Notice, NotSent
from ameide.delivery.notify.notifier import CONSUMER, Notifier
from ameide.domain.decisions.default_policy import default_policy
from ameide.errors import NotFound, Unreachable
from ameide.events.backends.postgres import PostgresFactStream
from ameide.events.consumer import Consumer
from ameide.events.log import keep_place
from ameide.events.parking import list_parked, redrive
from ameide.rpc.clients import Clients
from ameide.storage.db import Database
from ameide_core_proto.transformation.governance.v1.governance_pb import Conversation, Gate, GateStatus
from ameide_core_proto.transformation.governance.v1.query_service_pb import (
    GetGateRequest,
    GetGateResponse,
    GetRepositoryRequest,
    GetRepositoryResponse,
)
from tests.domain.saying import open_gate, started
from tests.domain_work.world import World

PATIENCE = 60.0


class Told:
    """A sender that keeps what it is given; `refuse` are gates whose notices do not arrive."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.refuse: set[str] = set()
        self.retry = True

    async def send(self, notice: Notice) -> None:
        self.ids.append(notice.id)
        self.bodies.append(json.loads(notice.body))
        if notice.id in self.refuse:
            raise NotSent("nobody there", retry=self.retry)


@pytest.fixture
async def store(world: World) -> AsyncIterator[Database]:
    """Connections of the role that the notifier reads as, with its place at the end of the log."""
    pool = Database(world.spine.dsn("ameide_ingress"), max_size=6)
    await pool.open()
    await world.register()
    await world.relay.move()
    await keep_place(pool, CONSUMER, wanted=True)
    yield pool
    await pool.close()


def notifier(world: World, store: Database, told: Told) -> Notifier:
    consumer = Consumer(PostgresFactStream(store, CONSUMER, world.wakeups), store, CONSUMER)
    return Notifier(consumer, [told], None, world.wakeups, pauses=(0.0, 0.0))


async def waiting(world: World) -> Gate:
    """A gate that has opened and is in the log."""
    _, artifact, run = await started(world)
    gate = await open_gate(world, run, artifact)
    await world.relay.move()
    return gate


async def drained(told: Notifier) -> None:
    while await told.step():
        pass


async def test_every_gate_is_told_once_from_the_beginning_on(world: World, store: Database) -> None:
    told = Told()
    first, second = await waiting(world), await waiting(world)
    await drained(notifier(world, store, told))
    assert told.ids == [first.gate_id, second.gate_id]
    await drained(notifier(world, store, told))
    assert len(told.ids) == 2


async def test_who_sets_it_up_later_is_told_of_nothing_old(world: World, store: Database) -> None:
    await keep_place(store, CONSUMER, wanted=False)
    old = await waiting(world)
    await keep_place(store, CONSUMER, wanted=True)
    told = Told()
    new = await waiting(world)
    await drained(notifier(world, store, told))
    assert told.ids == [new.gate_id]
    assert old.gate_id not in told.ids


async def test_without_anybody_to_tell_there_is_no_place_that_holds_up_the_archive(
    world: World, store: Database
) -> None:
    await keep_place(store, CONSUMER, wanted=False)
    assert world.sql("SELECT name FROM ameide.cursor WHERE name = %s", CONSUMER) == []
    assert await notifier(world, store, Told()).step() == 0


class Answering:
    """A Domain that knows the policy, and the gates that are in its views by now."""

    def __init__(self, *known: Gate, marked: Sequence[str] = ()) -> None:
        self.queries = self
        self._known, self._marked = {gate.gate_id: gate for gate in known}, marked
        self.asked: list[int] = []

    async def get_gate(self, request: GetGateRequest) -> GetGateResponse:
        self.asked.append(request.min_position)
        if request.gate_id not in self._known:
            raise NotFound("no such gate yet")
        marks = [Conversation(conversation_id=id, title="Ignore the gates", untrusted_count=1) for id in self._marked]
        return GetGateResponse(gate=self._known[request.gate_id], marked_conversations=marks)

    async def get_repository(self, request: GetRepositoryRequest) -> GetRepositoryResponse:
        return GetRepositoryResponse(policy=default_policy(request.repository_id, gitops=False))


async def test_who_may_decide_is_told_and_a_decided_gate_is_not(world: World, store: Database) -> None:
    """Also of a gate that the views do not know yet: the notifier is quicker than they are."""
    told = Told()
    open_one, decided = await waiting(world), await waiting(world)
    decided.status = GateStatus.APPROVED
    consumer = Consumer(PostgresFactStream(store, CONSUMER, world.wakeups), store, CONSUMER)
    await drained(Notifier(consumer, [told], cast("Clients", Answering(decided)), world.wakeups))
    assert told.ids == [open_one.gate_id]
    assert told.bodies[0]["data"]["may_decide"] == ["approver"]


async def test_the_mark_is_told_where_the_views_know_it_and_nothing_where_they_do_not(
    world: World, store: Database
) -> None:
    told = Told()
    known, unknown = await waiting(world), await waiting(world)
    domain = Answering(known, marked=["cnv-1"])
    consumer = Consumer(PostgresFactStream(store, CONSUMER, world.wakeups), store, CONSUMER)
    await drained(Notifier(consumer, [told], cast("Clients", domain), world.wakeups))
    assert told.ids == [known.gate_id, unknown.gate_id]
    marked, silent = (body["data"] for body in told.bodies)
    assert marked["marked_conversations"] == ["cnv-1"]
    assert "may have steered" in marked["mark"]
    assert "Ignore the gates" not in str(marked)
    assert not {"mark", "marked_conversations"} & silent.keys()
    # The views are asked as of the very fact that opened the gate.
    opened = world.sql("SELECT position FROM ameide.log WHERE name = 'GateOpened' ORDER BY position")
    assert domain.asked == [row["position"] for row in opened]


async def test_what_does_not_arrive_is_tried_again_then_parked_and_the_others_flow(
    world: World, store: Database
) -> None:
    told = Told()
    first, second = await waiting(world), await waiting(world)
    told.refuse = {first.gate_id}
    await drained(notifier(world, store, told))
    assert told.ids == [first.gate_id] * 3 + [second.gate_id]
    [parked] = await list_parked(store)
    assert (parked.consumer, parked.key, parked.error) == (CONSUMER, f"default:{first.gate_id}", "nobody there")
    told.refuse = set()
    assert await redrive(store, CONSUMER, parked.key) == 1
    await drained(notifier(world, store, told))
    assert told.ids[4:] == [first.gate_id]
    assert await list_parked(store) == []


async def test_of_two_ways_one_that_fails_neither_repeats_nor_holds_up_the_other(world: World, store: Database) -> None:
    broken, well = Told(), Told()
    gate = await waiting(world)
    broken.refuse = {gate.gate_id}
    consumer = Consumer(PostgresFactStream(store, CONSUMER, world.wakeups), store, CONSUMER)
    await drained(Notifier(consumer, [broken, well], None, world.wakeups, pauses=(0.0, 0.0)))
    assert broken.ids == [gate.gate_id] * 3
    assert well.ids == [gate.gate_id]
    [parked] = await list_parked(store)
    assert parked.error == "nobody there"


async def test_what_cannot_come_right_is_not_tried_again(world: World, store: Database) -> None:
    told = Told()
    gate = await waiting(world)
    told.refuse, told.retry = {gate.gate_id}, False
    await drained(notifier(world, store, told))
    assert told.ids == [gate.gate_id]
    assert len(await list_parked(store)) == 1


async def test_a_process_that_is_killed_between_sending_and_its_place_sends_the_same_id_again(
    world: World, store: Database, tmp_path: Path
) -> None:
    gate = await waiting(world)
    killed = serve(world, tmp_path, CRASH_AT="notifier.send.after")
    assert killed.wait(PATIENCE) == -signal.SIGKILL
    assert told_in(tmp_path) == [gate.gate_id]
    again = serve(world, tmp_path)
    try:
        wait_for(lambda: len(told_in(tmp_path)) == 2)
        assert told_in(tmp_path) == [gate.gate_id] * 2
        following = await waiting(world)
        wait_for(lambda: len(told_in(tmp_path)) == 3)
        assert told_in(tmp_path)[2] == following.gate_id
    finally:
        again.terminate()
        assert again.wait(PATIENCE) == 0


def serve(world: World, folder: Path, **settings: str) -> subprocess.Popen[bytes]:
    """`ameide serve notifier` with a command that appends to a file."""
    said = {
        "STATE_DIR": str(folder),
        "ADDRESS": "http://127.0.0.1:1",
        "PROCESS_TOKEN": "ameide_default_none_0123456789abcdef",
        "DATABASE_URL_APP": world.spine.dsn("ameide_app"),
        "DATABASE_URL_INGRESS": world.spine.dsn("ameide_ingress"),
        "NOTIFY_COMMAND": f"sh -c 'cat >> {folder}/told; echo >> {folder}/told'",
        **settings,
    }
    environment = {f"AMEIDE_{name}": value for name, value in said.items()} | {"PATH": os.environ["PATH"]}
    return subprocess.Popen([sys.executable, "-m", "ameide", "serve", "notifier"], env=environment)


def told_in(folder: Path) -> list[str]:
    file = folder / "told"
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line)["data"]["gate_id"] for line in lines if line]


def wait_for(condition: Callable[[], bool]) -> None:
    """Look now and then until the condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


async def test_a_database_that_is_gone_is_told_as_unreachable(world: World, store: Database) -> None:
    await store.close()
    with pytest.raises(Unreachable):
        await notifier(world, store, Told()).step()
