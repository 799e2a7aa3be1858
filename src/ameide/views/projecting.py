"""Projects the batches of a rebuild in processes beside this one: the work is pure, only writing needs their order."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from dataclasses import dataclass, fields
from multiprocessing.connection import wait
from operator import attrgetter
from types import TracebackType
from typing import Any, Self

from ameide.errors import Unreachable
from ameide.events.messages import LoggedMessage
from ameide.views.projection import Rows, project

# Fewer are projected here: a process takes about a second to start.
WORTH_A_PROCESS = 10_000
PROCESSES = os.cpu_count() or 1
# Tuples travel between processes in a third of the time that messages take.
_values = attrgetter(*(field.name for field in fields(LoggedMessage)))


@dataclass(frozen=True, slots=True)
class NotProjected:
    """A message that cannot be projected, and why."""

    message_id: str
    position: int
    error: str


Write = Callable[[list[LoggedMessage], Rows | NotProjected], Awaitable[None]]


class Projecting:
    """Projects batches side by side and has them written in order: the folded rows, or the first message without any.

    The processes start with the first batch that is worth it, and end with this one even when it is killed.
    """

    def __init__(self, write: Write) -> None:
        self._write = write
        self._pool: ProcessPoolExecutor | None = None
        self._begun: deque[tuple[list[LoggedMessage], Awaitable[Rows | NotProjected]]] = deque()

    async def add(self, batch: list[LoggedMessage]) -> None:
        """Begin a batch; waits for the oldest when so many are in hand that every process has its next one."""
        self._begun.append((batch, self._begin(batch)))
        if len(self._begun) > PROCESSES + 1:
            await self._written()

    async def done(self) -> None:
        """Returns when all that was added is written. Raises Unreachable when a process ended."""
        while self._begun:
            await self._written()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    async def _written(self) -> None:
        batch, rows = self._begun.popleft()
        try:
            found = await rows
        except BrokenExecutor as error:
            raise Unreachable("a process that projects has ended", remedy="Run the command again") from error
        await self._write(batch, found)

    def _begin(self, batch: list[LoggedMessage]) -> Awaitable[Rows | NotProjected]:
        loop = asyncio.get_running_loop()
        if len(batch) < WORTH_A_PROCESS:
            return loop.run_in_executor(None, _folded, batch)
        if self._pool is None:
            self._pool = ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn"), _end_with_parent)
        return loop.run_in_executor(self._pool, _in_process, [_values(message) for message in batch])


def _folded(batch: Sequence[LoggedMessage]) -> Rows | NotProjected:
    together = Rows()
    # Nothing here forms cycles, and looking for some among a batch's objects takes a third of the time.
    gc.disable()
    try:
        for message in batch:
            try:
                rows = project(message)
            except (ValueError, TypeError) as error:
                return NotProjected(message.message_id, message.position, str(error))
            if rows is not None:
                together.extend(rows)
        return together.folded()
    finally:
        gc.enable()


def _in_process(values: list[tuple[Any, ...]]) -> Rows | NotProjected:
    return _folded([LoggedMessage(*row) for row in values])


def _end_with_parent() -> None:
    """A process of a pool holds both ends of its own queue, so it does not see by it that the parent is gone."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    sentinel = parent.sentinel

    def watch() -> None:
        wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
