"""The executor: takes claims from the sources of its slots, and runs each claim in the slot that took it."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ameide.errors import AmeideError
from ameide.events.ports import Objects
from ameide.infra.attempt import Attempt, Steps
from ameide.infra.claim import Claim
from ameide.infra.claiming import NOTHING, Answered, Polling, Source, Turns
from ameide.infra.clock import now
from ameide.infra.gateway_store import GatewayStore
from ameide.infra.pausing import Pauses
from ameide.infra.settings import ExecutorSettings, UnprivilegedUser
from ameide.logs import bound
from ameide.rpc.clients import Clients
from ameide.stopping import unless
from ameide.telemetry import tracing
from ameide.telemetry.context import TraceContext
from ameide_core_proto.transformation.work.v1.command_service_pb import ClaimAnswer

logger = logging.getLogger(__name__)

_FIRST_PAUSE, _PAUSE = 0.2, 5.0


@dataclass(frozen=True)
class Slot:
    """What one slot serves: some queues, by a source that is its own."""

    queues: tuple[str, ...]
    source: Source


class Executor:
    """Serves the queues of `settings` until `stop` is called.

    Knows the Domain's address and the object store, nothing else; without a store, what belongs there goes through the
    Domain's door. `others` are the clients of further tenants, asked in turn with the first. `invited` makes the
    sources of queues whose invitations a broker brings, for one slot each; the gateway serves all others. `pauses`
    tells from which queues to take nothing for now.
    """

    def __init__(
        self,
        settings: ExecutorSettings,
        steps: Steps,
        clients: Clients,
        store: Objects | None,
        *,
        others: Sequence[Clients] = (),
        invited: Mapping[str, Callable[[], Source]] | None = None,
        pauses: Pauses | None = None,
    ) -> None:
        self._settings, self._steps, self._store = settings, steps, store
        self._clients = (clients, *others)
        self._invited, self._pauses = invited or {}, pauses
        self._paused: frozenset[str] = frozenset()
        self._stop = asyncio.Event()
        # Rings when a slot that waits has to look again at what it may take; each ring is a bell of its own.
        self._bell = asyncio.Event()

    def stop(self) -> None:
        """Take no more work and give back what runs."""
        self._stop.set()
        self._ring()

    async def serve(self) -> None:
        """Run every slot until stopped."""
        slots = self.slots()
        logger.info(
            "executor is up",
            extra={"executor": self._settings.name, "queues": list(self._settings.queues), "slots": len(slots)},
        )
        watching = asyncio.create_task(self._pauses.watch(self._pause)) if self._pauses else None
        try:
            if not slots:
                # Of a pool whose queues are all the other role's.
                await self._stop.wait()
            await asyncio.gather(*(self._slot(number, slot) for number, slot in enumerate(slots)))
        finally:
            if watching is not None:
                watching.cancel()
            await asyncio.gather(*(slot.source.close() for slot in slots))

    def slots(self) -> list[Slot]:
        """The shared slots, then those that serve one queue alone: a broker's, and those that the settings name."""
        own, queues = self._settings.queue_slots, self._settings.queues
        shared = tuple(queue for queue in queues if queue not in own and queue not in self._invited)
        slots = [Slot(shared, self._polling()) for _ in range(self._settings.slots)] if shared else []
        for queue in queues:
            if queue not in shared:
                make = self._invited.get(queue, self._polling)
                slots += [Slot((queue,), make()) for _ in range(own.get(queue, self._settings.slots))]
        return slots

    async def run_once(self, wait: float = 0.0, answered: Callable[[], None] = lambda: None) -> ClaimAnswer:
        """Take and run at most one work, waiting up to `wait` seconds for it, and at least for one poll.

        `answered` is called once a claim has its answer, before the work begins. NONE when there was no work or we were
        stopped before there was one. Raises `AmeideError` when it could not be found out.
        """
        [slot, *_] = self.slots()
        try:
            taken = await self._first(slot, wait)
        except BaseException:
            await slot.source.close()
            raise
        # Beside the work: neither it nor the claim's lease waits for a broker that is slow to say good-bye.
        leaving = asyncio.create_task(slot.source.close())
        if taken.answer is not ClaimAnswer.NONE:
            answered()
            await self._work_on(self._settings, taken)
        await leaving
        return taken.answer

    async def _first(self, slot: Slot, wait: float) -> Answered:
        deadline, pause, longest = now() + wait, _FIRST_PAUSE, self._settings.poll_seconds
        while True:
            try:
                taken = await self._take(slot, min(longest, max(1.0, deadline - now())) if wait else longest)
            except AmeideError as error:
                if self._stop.is_set():
                    return NOTHING
                if not error.retry or now() >= deadline:
                    raise
                logger.warning("no work taken", extra={"error": str(error)})
                pause = await self._pause_for(pause)
                continue
            if taken.answer is not ClaimAnswer.NONE or self._stop.is_set() or now() >= deadline:
                return taken

    def _polling(self) -> Source:
        polls = [Polling(clients, self._settings.name) for clients in self._clients]
        return polls[0] if len(polls) == 1 else Turns(polls)

    def _ring(self) -> None:
        self._bell.set()
        self._bell = asyncio.Event()

    def _pause(self, queues: frozenset[str]) -> None:
        if queues != self._paused:
            logger.info("paused queues", extra={"queues": sorted(queues)})
        self._paused = queues
        self._ring()

    async def _slot(self, number: int, slot: Slot) -> None:
        settings = self._settings
        if settings.user is not None:
            # A user for each slot, since processes of one user may meddle with each other. Author and verifier
            # alternate.
            step = 2 * number
            settings = replace(settings, user=UnprivilegedUser(settings.user.uid + step, settings.user.gid + step))
        pause = _FIRST_PAUSE
        while not self._stop.is_set():
            try:
                await self._work_on(settings, await self._take(slot, settings.poll_seconds))
                pause = _FIRST_PAUSE
            except AmeideError as error:
                logger.warning("no work taken", extra={"error": str(error)})
                pause = await self._pause_for(pause)
            except Exception:
                # A defect costs this claim its lease, not the other slots their work.
                logger.exception("a slot broke")
                pause = await self._pause_for(pause)

    async def _pause_for(self, seconds: float) -> float:
        """Wait, not longer than until we are stopped; how long to wait the next time."""
        await unless(self._stop, asyncio.sleep(seconds * random.uniform(0.5, 1.5)))  # noqa: S311 jitter
        return min(_PAUSE, seconds * 2)

    async def _take(self, slot: Slot, wait: float) -> Answered:
        bell = self._bell
        queues = tuple(queue for queue in slot.queues if queue not in self._paused)
        if not queues:
            await bell.wait()
            return NOTHING
        if self._stop.is_set():
            return NOTHING
        return await slot.source.claim(queues, wait, bell)

    async def _work_on(self, settings: ExecutorSettings, taken: Answered) -> None:
        claim = taken.claim
        if claim is None:
            return
        work = claim.work
        trace = TraceContext.parse(work.traceparent, work.tracestate)
        with bound(correlation_id=work.change_id, work_request_id=work.work_request_id, trace_id=trace.trace_id):
            if self._stop.is_set():
                await claim.release("the executor is stopping")
            elif work.queue in self._paused:
                await claim.release("the queue is paused here")
            else:
                logger.info(
                    "claimed", extra={"attempt": claim.attempt, "action": work.action_kind.name, "queue": work.queue}
                )
                with tracing.span(f"process {work.queue}", "consumer", parent=trace, attributes=_about(claim, taken)):
                    store = self._store or GatewayStore(claim)
                    own = settings.of_tenant(work.scope.tenant_id if work.scope else "")
                    await Attempt(claim, self._steps, own, store, self._stop).run()


def _about(claim: Claim, taken: Answered) -> tracing.Attributes:
    work = claim.work
    return {
        "messaging.system": taken.system,
        "messaging.operation.type": "process",
        "messaging.destination.name": work.queue,
        "ameide.work_request_id": work.work_request_id,
        "ameide.change_id": work.change_id,
        "ameide.action": work.action_kind.name.lower(),
        "ameide.attempt": claim.attempt,
    }
