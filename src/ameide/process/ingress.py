"""Facts become signals. The one way that anything outside moves a workflow.

Ingress takes the facts of the log in order, each aggregate's therefore in order, and signals the workflow whose id
their envelope names. The effect lies outside the database, so the position follows it, facts may be signalled twice,
and deduplication is the workflow's.

A run that takes no signal for now holds up no other: its facts are set aside durably, and once it takes the first of
them, the others follow in order. That others do get through is the proof that the run is the trouble and not Temporal;
without it, all wait.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Protocol

from temporalio.client import Client

from ameide.errors import AmeideError
from ameide.events.messages import LoggedMessage
from ameide.process.bundles import Waiting, bundles
from ameide.process.endings import Endings
from ameide.process.signals import NotNow, Refusing, Signals
from ameide.process.temporal import backoff, connect_patiently, need_answer
from ameide.rpc.clients import Clients
from ameide.stopping import unless
from ameide.telemetry import metrics

log = logging.getLogger(__name__)

CONSUMER = "ingress"
_BATCH = 100
_IDLE_SECONDS = 1.0
_ENDINGS_SECONDS = 30.0
# How far ahead of a run that is held ingress looks for others, and so what it remembers at most.
_WINDOW = 1600
# How long the beginning of a work waits for the work's next fact, in seconds.
_LINGER = 0.25
# Between the tries of one message, in seconds.
_PAUSES = (0.1, 0.2, 0.4)


class FactSource(Protocol):
    """The log as ingress reads it: in order, acknowledged after the effect, with a place for what it cannot process."""

    async def next_batch(self, limit: int = 100) -> list[LoggedMessage]:
        """The next messages, or none when there is nothing or another replica is active."""
        ...

    async def acknowledge(self, position: int) -> None:
        """This message and all before it had their effect or are parked."""
        ...

    def is_parked(self, key: str) -> bool:
        """Whether messages of this key must wait behind one that could not be processed."""
        ...

    async def park(self, message: LoggedMessage, key: str, error: str, *, pause: float | None = None) -> None:
        """Set a message aside: for a person, or for a pause in seconds that grows."""
        ...

    async def due(self, limit: int = 100) -> list[LoggedMessage]:
        """The messages that hold up keys whose pause is over."""
        ...

    async def postpone(self, message: LoggedMessage, key: str, error: str, pause: float) -> None:
        """It holds up its key still; due again after the pause, or later."""
        ...

    async def redrive(self, key: str) -> None:
        """It holds up its key no longer: deliver all that was set aside of it, in order."""
        ...

    async def wait(self, seconds: float, /) -> None:
        """Until there may be more, at most so long."""
        ...

    async def release(self) -> None:
        """Let another replica be the active one, until the next batch."""
        ...


@dataclass(frozen=True, slots=True)
class _Held:
    """A run that took no signal, since when (seconds of the loop's clock), and why."""

    since: float
    error: str


class Ingress:
    """Brings each run its facts. `counts`: how many were signalled, included in a later one's signal, started, late,
    skipped, parked, waiting, closed.

    A run is tried for `patience` seconds at most; set aside, it is tried again after `pause` seconds, then later.
    """

    def __init__(
        self,
        source: FactSource,
        domain: Clients,
        address: str,
        namespace: str,
        *,
        patience: float = 5.0,
        pause: float = 5.0,
    ) -> None:
        self._source = source
        self._signals = Signals(domain)
        self._endings = Endings(domain)
        self._address = address
        self._namespace = namespace
        self._patience = patience
        self._pause = pause
        self._ahead = _BATCH
        # Whether the last batch may have left something that has not rung since.
        self._behind = False
        # Of what the next batch brings again: positions that had their effect, runs that are held.
        self._done: set[int] = set()
        self._held: dict[str, _Held] = {}
        self._beginnings = Waiting(_LINGER)
        self._got_through = float("-inf")
        self._stop = asyncio.Event()
        self._temporal: Client | None = None
        self.counts: Counter[str] = Counter()

    async def run(self) -> None:
        """Work until stopped."""
        temporal = await unless(self._stop, connect_patiently(self._address, self._namespace))
        if temporal is None:
            return
        self._temporal = temporal
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._until_stopped(self._turn, temporal, self._wait))
            tasks.create_task(self._until_stopped(self.retry, temporal, asyncio.sleep))
            tasks.create_task(self._until_stopped(self._close_endings, temporal, asyncio.sleep, _ENDINGS_SECONDS))

    def stop(self) -> None:
        """End after the batch in hand."""
        self._stop.set()

    async def check(self) -> None:
        """Raises Unreachable while Temporal does not answer."""
        await need_answer(self._temporal)

    async def _until_stopped(
        self,
        act: Callable[[Client], Awaitable[bool]],
        temporal: Client,
        wait: Callable[[float], Coroutine[Any, Any, None]],
        idle: float = _IDLE_SECONDS,
    ) -> None:
        attempt = 0
        while not self._stop.is_set():
            try:
                if not await act(temporal):
                    await unless(self._stop, wait(idle))
                attempt = 0
            # Runs are served as a group of tasks, whose errors come as a group.
            except* AmeideError as errors:
                log.warning("ingress starts again: %s", errors.exceptions[0])
                await unless(self._stop, backoff(attempt))
                attempt += 1

    async def _turn(self, temporal: Client) -> bool:
        return await self.step(temporal) and self._behind

    async def _wait(self, seconds: float) -> None:
        left = self._beginnings.left(asyncio.get_running_loop().time())
        await self._source.wait(seconds if left is None else min(seconds, left))

    async def _close_endings(self, temporal: Client) -> bool:
        if closed := await self._endings.close(temporal):
            self.counts["closed"] += closed
        return False

    async def retry(self, temporal: Client) -> bool:
        """Try those that were set aside and are due, beside the others; False when there was none."""
        due = await self._source.due()
        async with asyncio.TaskGroup() as tasks:
            tried = [(message, tasks.create_task(self._retry(temporal, message))) for message in due]
        for message, task in tried:
            if task.result():
                # It comes once more, with the others of its key: its workflow knows it.
                await self._source.redrive(key_of(message))
        return bool(due)

    async def _retry(self, temporal: Client, message: LoggedMessage) -> bool:
        """Whether it holds up its key no longer."""
        try:
            async with asyncio.timeout(self._patience):
                await self._signals.deliver(temporal, message)
        except (NotNow, TimeoutError) as error:
            await self._source.postpone(message, key_of(message), str(error) or "no answer", self._pause)
            return False
        except Refusing as error:
            log.warning("%s does not wait any more, it refuses: %s", key_of(message), error)
        return True

    async def step(self, temporal: Client) -> bool:
        """One batch; False when nothing could be acknowledged. Runs are served side by side, each in the log's order.

        A held run does not keep others from their facts: what follows it in the log is looked at again and again,
        further and further, until somebody gets through. Then the held ones are set aside and the position moves on.
        """
        batch = await self._source.next_batch(self._ahead)
        self._behind = len(batch) == self._ahead or any(message.redriven for message in batch)
        # A released message comes since it has yet to have its effect, whatever became of it when it was parked.
        self._done.intersection_update(message.position for message in batch if not message.redriven)
        runs: dict[str, list[LoggedMessage]] = {}
        for message in batch:
            if message.position in self._done:
                continue
            if message.kind == "fact":
                runs.setdefault(key_of(message), []).append(message)
            else:
                self._done.add(message.position)
                self._count("skipped")
        self._held = {key: held for key, held in self._held.items() if key in runs}
        now = asyncio.get_running_loop().time()
        self._beginnings.look(batch, now)
        async with asyncio.TaskGroup() as tasks:
            for key, messages in runs.items():
                if not self._beginnings.may_wait(messages, now):
                    tasks.create_task(self._serve(temporal, key, messages, now + self._patience))
        for key, held in list(self._held.items()):
            if self._got_through > held.since:
                await self._set_aside(key, runs[key], held.error)
        moved = await self._acknowledge(batch)
        if self._held:
            first, held = next(iter(self._held.items()))
            log.warning("%d runs take no signal, trying again; %s: %s", len(self._held), first, held.error)
        self._ahead = _BATCH if moved or not batch else min(2 * self._ahead, _WINDOW)
        return moved

    async def _acknowledge(self, batch: list[LoggedMessage]) -> bool:
        """Everything up to the first message that has not had its effect."""
        done = list(takewhile(lambda message: message.position in self._done, batch))
        for message in done:
            # Released messages are acknowledged each, all others by the last of them.
            if message.redriven or message is done[-1]:
                await self._source.acknowledge(message.position)
        await self._source.release()
        return bool(done)

    async def _serve(self, temporal: Client, key: str, messages: list[LoggedMessage], until: float) -> None:
        for bundle in bundles(messages):
            message = bundle[-1]
            if message is not messages[0] and asyncio.get_running_loop().time() > until:
                # A slow run: the rest of its messages comes with the next batch.
                return
            if self._source.is_parked(key):
                await self._park(bundle, key, "behind an earlier one")
                continue
            begun = time.perf_counter()
            try:
                outcome = await self._deliver(temporal, key, message)
            except Refusing as error:
                log.error("parked %s of %s: %s", message.name, key, error, extra={"message_id": message.message_id})
                await self._park(bundle, key, str(error))
            except NotNow as error:
                if not message.redriven:
                    return
                await self._park(bundle, key, str(error), pause=self._pause)
            else:
                self._held.pop(key, None)
                self._done.update(one.position for one in bundle)
                self._count(outcome)
                self._count("included", len(bundle) - 1)
                metrics.EVENT_PROCESSING.labels(CONSUMER).observe(time.perf_counter() - begun)
                if outcome != "skipped":
                    self._got_through = asyncio.get_running_loop().time()

    async def _deliver(self, temporal: Client, key: str, message: LoggedMessage) -> str:
        """The effect of one message, tried for as long as others can be asked to wait. Raises Refusing.

        Raises NotNow when the run is held from now on.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        for pause in (*_PAUSES, None):
            try:
                async with asyncio.timeout_at(deadline):
                    return await self._signals.deliver(temporal, message)
            except (NotNow, TimeoutError) as error:
                said = str(error) or f"no answer in {self._patience:g} seconds"
                self._held.setdefault(key, _Held(loop.time(), said))
                if pause is None or loop.time() + pause >= deadline:
                    raise NotNow(said) from error
            await asyncio.sleep(pause)
        raise AssertionError("the last try has no pause behind it")

    async def _set_aside(self, key: str, messages: list[LoggedMessage], error: str) -> None:
        """Durably, the first with a pause and the others behind it; so the position can pass them."""
        log.warning("%s takes no signal while others do, set aside: %s", key, error)
        await self._park([one for one in messages if one.position not in self._done], key, error, pause=self._pause)

    async def _park(self, messages: list[LoggedMessage], key: str, error: str, *, pause: float | None = None) -> None:
        self._held.pop(key, None)
        for message in messages:
            await self._source.park(message, key, error, pause=pause)
            self._done.add(message.position)
            self._count("parked" if pause is None else "waiting")

    def _count(self, outcome: str, number: int = 1) -> None:
        if number:
            self.counts[outcome] += number
            metrics.EVENTS_PROCESSED.labels(CONSUMER, outcome).inc(number)


def key_of(message: LoggedMessage) -> str:
    """What is parked together: one run, or the message's own key when it belongs to none."""
    if message.process_instance_id:
        return f"{message.tenant_id}:{message.process_instance_id}"
    return message.key
