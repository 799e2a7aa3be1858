"""The client library blocks. Each of its objects is asked by one thread of its own, never by the event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


class OwnThread:
    """Makes one call after the other. It does not keep a process alive that ends: a call may wait for a lost broker."""

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        Thread(target=self._work, name=name, daemon=True).start()

    def run(self, call: Callable[[], T]) -> asyncio.Future[T]:
        """What the call returns or raises. Cancelled, the call goes on to its end, and what it returns is lost."""
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[T] = loop.create_future()

        def make() -> None:
            try:
                result = call()
            except BaseException as error:
                _tell(loop, lambda error=error: answered.done() or answered.set_exception(error))
            else:
                _tell(loop, lambda: answered.done() or answered.set_result(result))

        self._calls.put(make)
        return answered

    def end(self) -> None:
        """No more calls after those that were asked for."""
        self._calls.put(None)

    def _work(self) -> None:
        while (make := self._calls.get()) is not None:
            make()


def _tell(loop: asyncio.AbstractEventLoop, told: Callable[[], object]) -> None:
    # The loop may have ended meanwhile, and then nobody waits.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(told)
