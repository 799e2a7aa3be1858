"""The oracle on a small database: silent while it is whole, and precise about every row that somebody touched."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from protobuf import Oneof

from ameide.domain.commands import process_facts
from ameide.domain.unit import Unit
from ameide_core_proto.process.transformation.v1 import process_fact_service_pb as process_pb
from ameide_core_proto.process.transformation.v1.facts_pb import (
    ActivityTransition,
    ActivityTransitioned,
    Phase,
    PhaseEntered,
    TransformationProcessFact,
)
from tests.conftest import Databases, SpineDatabase, spine
from tests.domain.talking import opened as talk
from tests.domain.talking import progress
from tests.domain_work.world import PROCESS, World
from tests.faults.judging import consult
from tests.faults.oracle import Verdict, examine
from tests.faults.oracle.database import snapshot
from tests.faults.oracle.examining import judge
from tests.faults.oracle.run_checks import included, misheard
from tests.faults.oracle.settle import unrest
from tests.faults.scene import Scene, opened

WORK = "(SELECT min(work_request_id) FROM ameide.work)"
LAST = "(SELECT max(position) FROM ameide.log)"


@dataclass(frozen=True)
class Tampering:
    """What somebody did, and what the oracle must say about it; `{work}` is the id of the first work."""

    sql: str
    finding: Literal["lost", "doubled", "unquiet"]
    says: str


TAMPERINGS = {
    "work gone": Tampering(f"DELETE FROM ameide.work WHERE work_request_id = {WORK}", "lost", "not in the Domain"),
    "fact gone": Tampering("DELETE FROM ameide.log WHERE position = 3", "lost", "no positions 3 to 3"),
    "last fact gone": Tampering(f"DELETE FROM ameide.log WHERE position = {LAST}", "lost", "its last position"),
    "head set back": Tampering("UPDATE ameide.log_head SET position = position - 2", "doubled", "will be given again"),
    "message twice": Tampering(
        "UPDATE ameide.log SET message_id = (SELECT message_id FROM ameide.log WHERE position = 2) WHERE position = 3",
        "doubled",
        "stated 2 times",
    ),
    "version repeated": Tampering(
        f"UPDATE ameide.log SET aggregate_version = 2 WHERE aggregate_id = {WORK} AND aggregate_version = 3",
        "doubled",
        "{work} of default has more than one fact of version [2]",
    ),
    "versions swapped": Tampering(
        f"UPDATE ameide.log SET aggregate_version = 5 - aggregate_version"
        f" WHERE aggregate_id = {WORK} AND aggregate_version > 1",
        "lost",
        "which lie as [1, 3, 2]",
    ),
    "state ahead of its facts": Tampering(
        f"UPDATE ameide.work SET version = 9 WHERE work_request_id = {WORK}", "lost", "holds version 9"
    ),
    "born twice": Tampering(
        "UPDATE ameide.log SET causation_id = 'k' WHERE aggregate_type = 'work' AND aggregate_version = 1",
        "doubled",
        "request k of default made work",
    ),
    "ended twice": Tampering(
        f"UPDATE ameide.log SET name = 'WorkFailed' WHERE aggregate_id = {WORK} AND name = 'WorkStarted'",
        "doubled",
        "{work} has ended 2 times",
    ),
    "two outcomes": Tampering(
        f"INSERT INTO ameide.attempt SELECT tenant_id, work_request_id, 2, 'c', principal_id, runner, claimed_at,"
        f" lease_until, run_until, last_heartbeat_at, heartbeats, usage, log_tail, ended_at, ended_by"
        f" FROM ameide.attempt WHERE work_request_id = {WORK}",
        "doubled",
        "{work} has outcomes of the attempts [1, 2]",
    ),
    "evidence gone": Tampering(
        f"DELETE FROM ameide.evidence WHERE work_request_id = {WORK}", "lost", "1 accepted outcomes and 0 evidence"
    ),
    "lease left": Tampering(
        f"UPDATE ameide.attempt SET ended_at = NULL, ended_by = '' WHERE work_request_id = {WORK}",
        "doubled",
        "still holds its lease",
    ),
    "invitation ahead": Tampering(
        f"UPDATE ameide.queue_item SET dispatch = 7 WHERE work_request_id = {WORK}", "doubled", "its invitation is 7"
    ),
    "answer counted twice": Tampering(
        "UPDATE ameide.conversation_spend SET used_tokens = 2 * used_tokens", "doubled", "used (9, 3) tokens and micros"
    ),
    "answer not counted": Tampering("DELETE FROM ameide.conversation_spend", "lost", "(0, 0) are counted"),
    "counted for nobody": Tampering(
        "UPDATE ameide.conversation_spend SET conversation_id = 'cnv-x'", "doubled", "cnv-x of default is counted"
    ),
    "row not projected": Tampering("DELETE FROM ameide.view_fact WHERE position = 4", "lost", "no row default 4"),
    "row projected wrong": Tampering(
        f"UPDATE ameide.view_state SET body = '' WHERE id = {WORK}", "lost", "another row default work {work}"
    ),
    "row of nothing": Tampering(
        "INSERT INTO ameide.view_process VALUES ('default', 'r2r/default/x/1', '', '', '', 1)", "lost", "has not"
    ),
    "parked": Tampering(
        "INSERT INTO ameide.parked SELECT 'ingress', position, tenant_id, key, 'bad', now(), false, topic, kind,"
        " message_id, name, aggregate_type, aggregate_id, aggregate_version, process_instance_id, correlation_id,"
        " causation_id, work_request_id, occurred_at, payload FROM ameide.log WHERE position = 2",
        "lost",
        "is parked by ingress: bad",
    ),
    "process fact forgotten": Tampering("DELETE FROM ameide.process_fact_seen WHERE seq = 2", "lost", "were taken"),
    "a reader behind": Tampering(
        "UPDATE ameide.cursor SET position = 1 WHERE name = 'projector'", "unquiet", "projector has read up to 1"
    ),
    "outbox left": Tampering(
        "WITH gone AS (DELETE FROM ameide.log WHERE position = 5 RETURNING *) INSERT INTO ameide.outbox"
        " SELECT nextval('ameide.outbox_id'), tenant_id, topic, kind, key, message_id, name, aggregate_type,"
        " aggregate_id, aggregate_version, process_instance_id, correlation_id, causation_id, work_request_id,"
        " occurred_at, payload FROM gone",
        "unquiet",
        "1 messages wait in the outbox",
    ),
}


@pytest.fixture(scope="module")
def played_database(databases: Databases) -> Iterator[SpineDatabase]:
    """One database for all of these tests: each tampers in a transaction that is rolled back."""
    yield from spine(databases)


@pytest.fixture(scope="module")
async def played(played_database: SpineDatabase, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Scene]:
    """Two works were done, a model has answered, and a run has told how it began."""
    async with opened(played_database, tmp_path_factory.mktemp("played")) as scene:
        await scene.work()
        await scene.work()
        await progress(scene.world, await talk(scene.world), tokens=9, micros=3)
        run = await scene.world.start_run(await scene.world.open_change())
        await say(scene.world, run.process_instance_id, entered(1, Phase.INTAKE), entered(2, Phase.EXECUTION))
        await scene.rest()
        yield scene


async def judged(scene: Scene, *statements: str) -> Verdict:
    """What the oracle says after some statements, of which nothing stays."""
    async with snapshot(scene.world.spine.address.conninfo) as base:
        for statement in statements:
            await base.run(statement)
        verdict = await judge(base, scene.folder, None)
        verdict.unquiet = await unrest(base)
        return verdict


async def test_what_is_whole_passes(played: Scene) -> None:
    verdict = await examine(played.folder, 0)
    assert verdict.lines == []
    assert verdict.ok
    assert consult(played.folder) == (0, "lost 0, doubled 0, unquiet 0\n")


@pytest.mark.parametrize("name", TAMPERINGS)
async def test_what_was_tampered_with_is_named(played: Scene, name: str) -> None:
    tampering = TAMPERINGS[name]
    verdict = await judged(played, tampering.sql)
    says = tampering.says.format(work=works_of(played)[0])
    assert any(line.startswith(f"{tampering.finding}: ") and says in line for line in verdict.lines), verdict.lines


async def test_effects_are_matched_with_claims(played: Scene, tmp_path: Path) -> None:
    first, second = (played.folder / "effects.jsonl").read_text().splitlines()
    foreign = first.replace('"attempt": 1', '"attempt": 2')
    (tmp_path / "effects.jsonl").write_text(f"{first}\n{first}\n{foreign}\n{second[:20]}")
    verdict = await judged(replaced(played, tmp_path))
    work, lost = works_of(played)
    assert verdict.doubled == [
        f"the effect of work {work}, attempt 1, was had 2 times",
        f"the effect of work {work}, attempt 2, was had for no claim that the Domain knows",
    ]
    assert verdict.lost == [f"the effect of work {lost}, attempt 1, which succeeded"]


async def test_a_key_has_one_answer(played: Scene, tmp_path: Path) -> None:
    first, _ = (played.folder / "acknowledged.jsonl").read_text().splitlines()
    work, key = (json.loads(first)[name] for name in ("id", "client_request_id"))
    (tmp_path / "acknowledged.jsonl").write_text(f"{first}\n{first.replace(work, 'wrk-another')}\n")
    verdict = await judged(replaced(played, tmp_path))
    assert verdict.doubled == [f"request {key} was answered with {work} and with wrk-another"]
    assert verdict.lost == [f"work wrk-another of default, acknowledged for {key}, is not in the Domain"]


def replaced(scene: Scene, folder: Path) -> Scene:
    """The same scene with other journals."""
    return Scene(scene.world, scene.projector, folder)


def works_of(scene: Scene) -> list[str]:
    """The ids of its works, in order."""
    return [str(row["id"]) for row in scene.world.sql("SELECT work_request_id AS id FROM ameide.work ORDER BY 1")]


async def test_a_run_takes_each_fact_once_and_for_what_it_is_about(played: Scene) -> None:
    world = played.world
    [run] = world.sql("SELECT id FROM ameide.view_state WHERE kind = 'run'")
    done, other = works_of(played)
    [row] = world.sql("SELECT message_id FROM ameide.log WHERE aggregate_id = %s AND aggregate_version = 3", done)
    run_id, fact = str(run["id"]), str(row["message_id"])
    await say(world, run_id, completed(3, "build", done, fact), completed(4, "publish", other, fact))
    await played.rest()
    verdict = await judged(played)
    took = f"run {run_id} took fact {fact}"
    assert verdict.doubled == [f"{took} for the end of {done}, {other}", f"{took} of {done} for the end of {other}"]


def test_a_beginning_is_heard_only_with_a_later_fact_of_its_work() -> None:
    names = {"r": "WorkRequested", "s": "WorkStarted", "f": "WorkFailed", "other": "WorkCompleted"}
    ids, works = list(names), ["w", "w", "w", "v"]
    assert included(ids, names, works, {"f", "other"}) == {"r", "s"}
    assert included(ids, names, works, {"s"}) == {"r"}
    assert included(ids, names, works, {"r", "other"}) == set()


def test_facts_in_one_line_are_heard_in_their_order() -> None:
    assert misheard(["a", "b", "c"], ["x", "a", "b", "y", "c"], whole=True) == ([], [])
    assert misheard(["a", "b", "c"], ["b", "a", "c"], whole=True) == ([], ["b", "a", "c"])
    assert misheard(["a", "b", "c"], ["a", "b"], whole=True)[0] == ["c"]
    assert misheard(["a", "b", "c"], ["a", "b"], whole=False) == ([], [])
    assert misheard(["a", "b", "c"], ["a", "c"], whole=False)[0] == ["b"]
    assert misheard(["a"], ["x"], whole=False) == ([], [])


def entered(seq: int, phase: Phase) -> TransformationProcessFact:
    """The run entered a phase."""
    return TransformationProcessFact(seq=seq, fact=Oneof("phase_entered", PhaseEntered(phase=phase)))


def completed(seq: int, activity: str, work: str, fact: str) -> TransformationProcessFact:
    """The run took a fact for the end of a step."""
    done = ActivityTransitioned(
        activity=activity,
        iteration=1,
        transition=ActivityTransition.COMPLETED,
        work_request_id=work,
        fact_message_id=fact,
    )
    return TransformationProcessFact(seq=seq, fact=Oneof("activity_transitioned", done))


async def say(world: World, run: str, *facts: TransformationProcessFact) -> None:
    """The run's process records facts."""

    async def handler(unit: Unit) -> process_pb.RecordProcessFactsResponse:
        command = process_pb.RecordProcessFactsRequest(process_instance_id=run, facts=list(facts))
        return await process_facts.record(unit, command)

    await world.service.perform(PROCESS, "RecordProcessFacts", None, handler)
