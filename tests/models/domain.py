"""The calls, said to a Domain on PostgreSQL, and what can be seen of it afterwards."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import psycopg
from psycopg.rows import dict_row

from ameide.contracts import topics
from ameide.domain.commands import work_requests
from ameide.errors import Conflict, Fenced, InvalidArgument
from ameide.rpc.interceptors import Caller
from ameide.storage.db import Database
from ameide_core_proto.transformation.governance.v1.governance_pb import Run as ProcessRun
from ameide_core_proto.transformation.work.v1 import command_service_pb as pb
from ameide_core_proto.transformation.work.v1.work_pb import Usage, WorkRequest
from tests.conftest import SpineDatabase
from tests.domain_work.world import PROCESS, Claimed, World, caller, failure, success, verify
from tests.models.calls import Answer, Call, Cancel, Claim, Heartbeat, Lapse, Outcome, Pair, Release, Run
from tests.models.work_model import Seen

QUEUE = topics.QUEUE_VERIFY
Row = dict[str, Any]
_SEEN = """
    SELECT w.work_request_id, w.status, w.version, w.dispatch, w.lost_claims, w.cancel_requested, w.state,
        (SELECT coalesce(json_agg(json_build_array(a.attempt, a.claim_id, a.principal_id, a.ended_by,
                encode(a.usage, 'hex')) ORDER BY a.attempt), '[]')
            FROM ameide.attempt a WHERE a.work_request_id = w.work_request_id) AS attempts,
        (SELECT json_agg(json_build_array(f.name, f.aggregate_version) ORDER BY f.place, f.id) FROM (
            SELECT 0 AS place, position AS id, name, aggregate_version FROM ameide.log
                WHERE work_request_id = w.work_request_id AND kind = 'fact' UNION ALL
            SELECT 1, id, name, aggregate_version FROM ameide.outbox
                WHERE work_request_id = w.work_request_id AND kind = 'fact') AS f) AS facts
    FROM ameide.work w"""
_INVITATIONS = """
    SELECT work_request_id, dispatch FROM ameide.queue_item UNION ALL
    SELECT work_request_id, aggregate_version FROM ameide.outbox WHERE kind = 'intent'"""


class Domain:
    """A Domain with one open run, and the works that it was asked for."""

    def __init__(self, world: World, run: ProcessRun, eye: psycopg.Cursor[Row]) -> None:
        self.world = world
        self.works: list[str] = []
        self.run = run
        self._eye = eye

    @classmethod
    async def opened(cls, spine: SpineDatabase, stack: AsyncExitStack) -> Domain:
        """On a database of its own; `stack` closes it."""
        eye = stack.enter_context(psycopg.connect(spine.address.conninfo, autocommit=True))
        # Nothing here ends the server, and a commit that need not reach the disk is ten times as quick.
        eye.execute(f"ALTER DATABASE {spine.address.dbname} SET synchronous_commit = off".encode())

        async def role(name: str) -> Database:
            pool = Database(spine.dsn(name), max_size=6)
            await pool.open()
            stack.push_async_callback(pool.close)
            return pool

        world = World(spine, await role("ameide_app"), await role("ameide_relay"), await role("ameide_sweeper"))
        return cls(world, await world.open_run(), eye.cursor(row_factory=dict_row))

    async def request(self, name: str) -> Answer:
        """RequestWork under one client_request_id."""
        command = verify(self.run)
        command.client_request_id = name
        answer = await self.world.request(command)
        assert answer.work is not None
        known = answer.work.work_request_id in self.works
        if not known:
            self.works.append(answer.work.work_request_id)
        return "REPLAY" if answer.idempotent_replay else "RECORDED"

    async def say(self, call: Call) -> Answer:
        """Say it, and give the answer in the model's words. Any other error is a defect."""
        try:
            return await self._say(call)
        except Fenced:
            return "FENCED"
        except Conflict:
            return "CONFLICT"
        except InvalidArgument:
            return "INVALID"

    async def poll(self, claim_id: str, principal: str) -> Run | None:
        """PollWork without waiting; the work that it was answered with."""
        answer = await self.world.poll(QUEUE, claim_id, _executor(principal))
        if answer.answer == pb.ClaimAnswer.NONE:
            return None
        assert answer.work is not None
        return Run(self.works.index(answer.work.work_request_id), claim_id, principal)

    async def _say(self, call: Call) -> Answer:
        id = self.works[call.work]
        match call:
            case Claim(_, claim_id, principal) | Run(_, claim_id, principal):
                answer = await self.world.claim(id, _executor(principal), claim_id)
                return f"RUN {answer.attempt}" if answer.answer == pb.ClaimAnswer.RUN else answer.answer.name
            case Heartbeat(_, pair, tokens):
                beat = await self.world.heartbeat(_claimed(id, pair), Usage(input_tokens=tokens))
                return "CANCEL" if beat.cancel_requested else "GO_ON"
            case Outcome(_, pair, verdict, word):
                recorded = await self.world.outcome(_claimed(id, pair), _command(id, pair, verdict, word))
                return "REPLAY" if recorded.idempotent_replay else "RECORDED"
            case Release(_, pair):
                return (await self.world.release(_claimed(id, pair))).status.name.lower()
            case Cancel(_, key):
                return await self._cancel(id, key)
            case Lapse():
                return str(await self.world.sweeper.sweep())

    async def _cancel(self, id: str, key: str) -> Answer:
        command = pb.CancelWorkRequest(client_request_id=key, work_request_id=id, reason="not needed")
        answer = await self.world.service.execute(
            PROCESS, "CancelWork", command, pb.CancelWorkResponse, work_requests.cancel_work
        )
        assert answer.work is not None
        return answer.work.status.name.lower()

    def let_lease_pass(self, work: int) -> None:
        """As if nobody had extended it in time."""
        self._eye.execute(
            "UPDATE ameide.attempt SET lease_until = now() - interval '1 s' "
            "WHERE work_request_id = %s AND ended_at IS NULL",
            (self.works[work],),
        )

    def let_wait_pass(self, work: int, *, deadline: bool) -> None:
        """As if nobody had claimed it until its next announcement, or until its deadline."""
        self._eye.execute(
            "UPDATE ameide.work SET announce_at = now(), claim_deadline = CASE WHEN %s THEN now() "
            "ELSE claim_deadline END WHERE work_request_id = %s AND status = 'requested'",
            (deadline, self.works[work]),
        )

    def seen(self) -> list[Seen]:
        """Every work as it is stored, in the order of the requests."""
        found = {row["work_request_id"]: _seen(row) for row in self._eye.execute(_SEEN).fetchall()}
        assert len(found) == len(self.works)
        return [found[id] for id in self.works]

    def invited(self) -> set[tuple[int, int]]:
        """The (work, dispatch) of every invitation, in its queue or on the way there."""
        rows = self._eye.execute(_INVITATIONS).fetchall()
        return {(self.works.index(row["work_request_id"]), row["dispatch"]) for row in rows}

    def queued(self) -> set[int]:
        """The works that a poll would find an invitation to."""
        rows = self._eye.execute("SELECT work_request_id FROM ameide.queue_item").fetchall()
        return {self.works.index(row["work_request_id"]) for row in rows}

    def check_log(self) -> None:
        """One order without gaps, and each work's invitations in the order of their dispatch."""
        rows = self._eye.execute(
            "SELECT position, work_request_id, kind, aggregate_version FROM ameide.log ORDER BY position"
        ).fetchall()
        assert [row["position"] for row in rows] == list(range(1, len(rows) + 1))
        for work, one in zip(self.works, self.seen(), strict=True):
            intents = [r["aggregate_version"] for r in rows if r["kind"] == "intent" and r["work_request_id"] == work]
            assert intents == list(range(1, one.dispatch + 1))

    def evidence(self) -> dict[int, int]:
        """The attempt whose evidence is kept, for each work that has some."""
        rows = self._eye.execute("SELECT work_request_id, attempt FROM ameide.evidence").fetchall()
        return {self.works.index(row["work_request_id"]): row["attempt"] for row in rows}


def _executor(principal: str) -> Caller:
    return caller(principal, "executor", queues=(QUEUE,))


def _claimed(id: str, pair: Pair) -> Claimed:
    return Claimed(WorkRequest(work_request_id=id), pair.attempt, pair.claim_id, _executor(pair.principal))


def _command(id: str, pair: Pair, verdict: str, word: str) -> pb.RecordWorkOutcomeRequest:
    claimed = _claimed(id, pair)
    command = failure(claimed) if verdict == "failed" else success(claimed)
    if verdict == "canceled":
        command.outcome = pb.WorkOutcome.CANCELED
    assert command.result is not None
    command.result.summary = word
    return command


def _seen(row: Row) -> Seen:
    work, attempts, facts = WorkRequest.from_binary(row["state"]), row["attempts"], row["facts"]
    told = Seen(
        row["status"],
        row["version"],
        row["dispatch"],
        row["lost_claims"],
        row["cancel_requested"],
        tuple(
            (Pair(attempt, claim_id, principal), ended_by, Usage.from_binary(bytes.fromhex(usage)).input_tokens)
            for attempt, claim_id, principal, ended_by, usage in attempts
        ),
        tuple(name for name, _ in facts),
    )
    assert [version for _, version in facts] == list(range(1, told.version + 1)), "versions are contiguous"
    # The columns that sweeper and heartbeat look at say what the message says.
    same = (work.status.name.lower(), work.version, work.dispatch, work.lost_claims, work.cancel_requested)
    assert same == (told.status, told.version, told.dispatch, told.lost_claims, told.cancel_requested)
    assert work.attempt == len(told.attempts)
    return told
