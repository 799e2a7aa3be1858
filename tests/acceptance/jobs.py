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
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # pyright: ignore[reportPrivateImportUsage]

from ameide.contracts import topics
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
        admin = admin_of(self.brokers)
        async with nursery(self.folder) as forking:
            while not self._over.is_set():
                waiting: dict[str, int] = {}
                # What is just being made, topics or the place of the groups, does not answer yet.
                with suppress(KafkaException, TimeoutError):
                    waiting = await asyncio.to_thread(lags, admin)
                for queue, lag in waiting.items():
                    pending = [child for child in self.started.get(queue, []) if child.alive and not child.ready]
                    for _ in range(lag - len(pending)):
                        await self._start(forking, queue)
                await pause()
            for child in self.all:
                child.send(signal.SIGTERM)
                await child.ended.wait()

    async def _start(self, forking: Nursery, queue: str) -> None:
        jobs = self.started.setdefault(queue, [])
        argv = ["executor", "run-once", "--queue", queue]
        jobs.append(await forking.start(f"{topics.short_name(queue)}-{len(jobs) + 1}", argv, self.environment))


def admin_of(brokers: str) -> Any:
    """A client that asks the brokers. It must be let go of before the interpreter ends, which else waits for ever."""
    # Untyped in the library.
    return AdminClient({"bootstrap.servers": brokers, "log_level": 0})


def lags(admin: Any) -> dict[str, int]:
    """How many invitations of each queue nobody has acknowledged; queues without a topic yet are left out."""
    known = admin.list_topics(timeout=10).topics
    found: dict[str, int] = {}
    for queue in (queue for queue in topics.QUEUES if queue in known):
        parts = [TopicPartition(queue, number) for number in known[queue].partitions]
        ends = admin.list_offsets({part: OffsetSpec.latest() for part in parts})
        group = ConsumerGroupTopicPartitions(topics.consumer_group(queue), parts)
        [asked] = admin.list_consumer_group_offsets([group]).values()
        done = sum(max(0, part.offset) for part in asked.result(2).topic_partitions)
        found[queue] = sum(end.result(2).offset for end in ends.values()) - done
    return found


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
            # An error that was raised by an answer keeps the client in a cycle with it.
            gc.collect()
