"""Ends a command that prints nothing for too long."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from ameide.infra.clock import now
from ameide.infra.steps import CommandResult, Profile
from ameide.infra.tools.repository import Checkout

_LINE, _LINES = 1000, 200


class WentSilent(Exception):
    """The command printed nothing for the time it may; it was ended with all that came from it."""


class Silence:
    """How long a command has printed nothing. `say` gets its lines, `clock` gives seconds."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = now) -> None:
        self._say, self._clock = say, clock
        self._partial = b""
        self._heard = clock()
        self._spoke = asyncio.Event()

    def listen(self, data: bytes) -> None:
        """Some output came."""
        self._heard = self._clock()
        self._spoke.set()
        *whole, self._partial = (self._partial + data).split(b"\n")
        self._partial = self._partial[-_LINE:]
        for line in whole[-_LINES:]:
            self._say(line[:_LINE].decode("utf-8", "replace"))

    async def until(self, bound: float) -> None:
        """Return once nothing came for `bound` seconds."""
        while (left := bound - (self._clock() - self._heard)) > 0:
            self._spoke.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._spoke.wait()


async def run_heard(
    checkout: Checkout, argv: tuple[str, ...], *, timeout: float, silent_for: float, profile: Profile
) -> CommandResult:
    """Run a command of the checkout; `silent_for` 0 is no bound. Raises `WentSilent` once the command is ended."""
    silence = Silence(checkout.log)
    running = asyncio.ensure_future(
        checkout.run(
            argv,
            cwd=checkout.root,
            env=checkout.environment,
            timeout=timeout,
            profile=profile,
            listen=silence.listen if silent_for else None,
        )
    )
    watching = asyncio.ensure_future(silence.until(silent_for) if silent_for else asyncio.Event().wait())
    try:
        await asyncio.wait([running, watching], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            return running.result()
        raise WentSilent
    finally:
        watching.cancel()
        if not running.done():
            # Cancelled, it kills the command first.
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
