"""Jobs as KEDA starts them for queues on Kafka: one process for each invitation that nobody has claimed yet.

It is the strategy `accurate` with `pendingPodConditions: [Ready]`: the lag of the queue's group, less the processes
that were started and have not claimed. Each is forked from a program that was loaded once, else starting would take
most of the time.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ameide.contracts import topics
from ameide.errors import Unreachable
from ameide.events.backends.kafka.connection import KafkaConnection
from ameide.events.backends.kafka.progress import Group
from tests.faults.rig.patience import pause
from tests.faults.rig.processes import Child, Nursery, nursery


@dataclass
class Jobs:
    """The Jobs so far, by queue. `environment` is what each process has."""

    brokers: str
    folder: Path
    environment: Mapping[str, str]
    started: dict[str, list[Child]] = field(default_factory=dict[str, list[Child]])
    _over: threading.Event = field(default_factory=threading.Event)

    @property
    def all(self) -> list[Child]:
        """Every process that was started."""
        return [child for children in self.started.values() for child in children]

    def serve(self) -> None:
        """Start Jobs until it is over, then end those that wait for work."""
        asyncio.run(self._serve())

    def end(self) -> None:
        """It is over."""
        self._over.set()

    async def _serve(self) -> None:
        lags = Lags(self.brokers)
        async with nursery(self.folder) as forking:
            while not self._over.is_set():
                for queue, waiting in (await lags.look()).items():
                    pending = [child for child in self.started.get(queue, []) if child.alive and not child.ready]
                    for _ in range(waiting - len(pending)):
                        await self._start(forking, queue)
                await pause()
            for child in self.all:
                child.send(signal.SIGTERM)
                await child.ended.wait()

    async def _start(self, forking: Nursery, queue: str) -> None:
        jobs = self.started.setdefault(queue, [])
        argv = ["executor", "run-once", "--queue", queue]
        jobs.append(await forking.start(f"{topics.short_name(queue)}-{len(jobs) + 1}", argv, self.environment))


class Lags:
    """How many invitations of each queue nobody has acknowledged; queues without a topic yet are left out."""

    def __init__(self, brokers: str) -> None:
        connection = KafkaConnection(brokers)
        self._groups = {queue: Group(connection, topics.consumer_group(queue), [queue]) for queue in topics.QUEUES}

    async def look(self) -> dict[str, int]:
        """By queue. What is just being made, topics or the place of the groups, does not answer yet."""
        found: dict[str, int] = {}
        for queue, group in self._groups.items():
            with suppress(Unreachable):
                found[queue] = await group.lag()
        return found


def settled(brokers: str) -> bool:
    """Whether all queues answer, and nobody has left an invitation unacknowledged."""
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(lambda: asyncio.run(Lags(brokers).look())).result()
    return found.keys() == set(topics.QUEUES) and not any(found.values())


@contextmanager
def working_off(brokers: str, folder: Path, environment: Mapping[str, str]) -> Generator[Jobs]:
    """Jobs work the queues off meanwhile."""
    folder.mkdir()
    jobs = Jobs(brokers, folder, environment)
    with ThreadPoolExecutor(1) as thread:
        serving = thread.submit(jobs.serve)
        try:
            yield jobs
        finally:
            jobs.end()
            serving.result()
            # An error that an answer raised keeps its client in a cycle, and the interpreter does not end with one.
            gc.collect()
