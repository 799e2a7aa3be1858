"""The sweeper: what time decides. It alone ends leases, by the database's clock, each in a transaction of its own."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

from ameide.contracts.ids import new_message_id
from ameide.domain.commands import work_rows
from ameide.domain.decisions import gate as gates
from ameide.domain.decisions import work_lapse
from ameide.domain.decisions.work import Waiting, waiting_from, waiting_longer
from ameide.domain.statement import state_facts
from ameide.domain.unit import Unit
from ameide.errors import Unreachable
from ameide.events.presence import RolePresence
from ameide.events.wakeups import Wakeups
from ameide.rpc.interceptors import Caller
from ameide.storage import sql
from ameide.storage.db import Database, Row, Transaction
from ameide_core_proto.transformation.governance.v1.governance_pb import Gate
from ameide_core_proto.transformation.work.v1.facts_pb import WorkCanceled, WorkFailed
from ameide_core_proto.transformation.work.v1.work_pb import Usage, WorkRequest

PRINCIPAL = "sweeper"
INTERVAL_SECONDS = 1.0
RETRY_SECONDS = 2.0
_SQL = sql.load("work")
_CARRIAGE = sql.load("carriage")
log = logging.getLogger(__name__)


class Sweeper:
    """Any number may run; the one that gets the cursor row sweeps. `database` is of the role ameide_sweeper."""

    def __init__(self, database: Database, wakeups: Wakeups, *, interval: float = INTERVAL_SECONDS) -> None:
        self._database = database
        self._wakeups = wakeups
        self._interval = interval
        self._presence = RolePresence(database, "sweeper")

    async def run(self) -> None:
        """Sweep until the process is closing; an unreachable database is waited for."""
        with self._wakeups.bell() as bell:
            while not self._wakeups.closing:
                pause = self._interval
                try:
                    await self._presence.beat()
                    await self.sweep()
                except Unreachable as error:
                    log.warning("the sweeper waits for the database", extra={"error": str(error)})
                    pause = RETRY_SECONDS
                await bell.wait(pause)

    async def sweep(self) -> int:
        """Deal with everything that is due; returns how much that was, 0 also when another replica is at it."""
        done = 0
        for name, step in (
            ("lost_claim", self._lost_claim),
            ("moved_queue", self._moved_queue),
            ("waiting_work", self._waiting_work),
            ("due_gate", self._due_gate),
        ):
            while not self._wakeups.closing and await self._one(name, step):
                done += 1
        return done

    async def _one(self, name: str, step: Callable[[Transaction, datetime], Awaitable[bool]]) -> bool:
        async with self._database.transaction(None) as tx:
            turn = await tx.fetch_one(_SQL["lock_sweep"])
            if turn is None or not await step(tx, turn["now"]):
                return False
            tx.point = f"sweeper.{name}"
        self._wakeups.ring("outbox")
        return True

    async def _lost_claim(self, tx: Transaction, now: datetime) -> bool:
        row = await tx.fetch_one(_SQL["next_lost"])
        if row is None:
            return False
        unit, work = _unit(tx, row, now), WorkRequest.from_binary(row["state"])
        usage = Usage.from_binary(row["usage"])
        work_rows.end_claim(unit, work, "lease_lost", usage)
        _settle(unit, work_lapse.lose_claim(work, usage, now), None)
        return True

    async def _moved_queue(self, tx: Transaction, _now: datetime) -> bool:
        return await tx.execute(_CARRIAGE["announce_moved"]) > 0

    async def _waiting_work(self, tx: Transaction, now: datetime) -> bool:
        row = await tx.fetch_one(_SQL["next_waiting"])
        if row is None:
            return False
        unit, work = _unit(tx, row, now), WorkRequest.from_binary(row["state"])
        deadline: datetime = row["claim_deadline"]
        _settle(unit, work_lapse.wait_on(work, deadline, now), waiting_longer(work, deadline, now))
        return True

    async def _due_gate(self, tx: Transaction, now: datetime) -> bool:
        row = await tx.fetch_one(_SQL["next_due_gate"])
        if row is None:
            return False
        unit, fact = _unit(tx, row, now), gates.expire(Gate.from_binary(row["state"]))
        gate = fact.gate
        assert gate is not None
        await tx.execute(
            _SQL["save_gate"], (gate.version, gate.status.name, gate.to_binary(), unit.tenant_id, gate.gate_id)
        )
        unit.record(fact)
        state_facts(unit)
        return True


def _settle(unit: Unit, decided: WorkCanceled | WorkFailed | WorkRequest, waiting: Waiting | None) -> None:
    if isinstance(decided, WorkRequest):
        work_rows.save_and_invite(unit, decided, waiting or waiting_from(decided, unit.now))
    else:
        assert decided.work is not None
        work_rows.save(unit, decided.work)
        work_rows.remove_invitation(unit, decided.work.work_request_id)
        unit.record(decided)
    state_facts(unit)


def _unit(tx: Transaction, row: Row, now: datetime) -> Unit:
    caller = Caller(tenant_id=row["tenant_id"], principal_id=PRINCIPAL, kind="SERVICE", roles=frozenset())
    return Unit(tx, caller, now, causation_id=new_message_id())
