"""The queues from which the pools of a state folder take no work for now: a small file, read again when it changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import cast

from ameide.engine.files import read_json, write_whole

# A person who pauses waits for it; to look at a file costs nothing.
_LOOK_SECONDS = 0.25


class Pauses:
    """`file` need not exist; nothing is paused then. Any number of processes may look, one at a time writes."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @classmethod
    def of(cls, state_dir: Path) -> Pauses:
        """Those of the pools that run with this state folder."""
        return cls(state_dir / "run" / "paused.json")

    def queues(self) -> frozenset[str]:
        """Topics of the paused queues."""
        found = read_json(self._file).get("queues")
        return frozenset(map(str, cast("list[object]", found))) if isinstance(found, list) else frozenset()

    def pause(self, queues: Iterable[str]) -> frozenset[str]:
        """Pause these as well; gives all that are paused now."""
        return self._write(self.queues() | frozenset(queues))

    def resume(self, queues: Iterable[str]) -> frozenset[str]:
        """Take these up again; gives what is still paused."""
        return self._write(self.queues() - frozenset(queues))

    async def watch(self, changed: Callable[[frozenset[str]], None]) -> None:
        """Tell what is paused, now and after each change, for ever."""
        last: frozenset[str] | None = None
        while True:
            if (now := self.queues()) != last:
                changed(now)
                last = now
            await asyncio.sleep(_LOOK_SECONDS)

    def _write(self, queues: frozenset[str]) -> frozenset[str]:
        if queues:
            write_whole(self._file, json.dumps({"queues": sorted(queues)}) + "\n", mode=0o600)
        else:
            self._file.unlink(missing_ok=True)
        return queues
