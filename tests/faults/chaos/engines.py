"""PostgreSQL stopped at once and Temporal killed, and both brought back."""

from __future__ import annotations

import asyncio
import os
import signal

from ameide.engine.engine import Engine


class Engines:
    """One engine fault at a time. `pids` are those of PostgreSQL and Temporal as (before, now) of the last fault."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._one_at_a_time = asyncio.Lock()
        self.pids: dict[str, tuple[int, int]] = {}

    async def away(self, name: str, seconds: float) -> None:
        """End an engine without a warning and start it again after a while."""
        async with self._one_at_a_time:
            before = await asyncio.to_thread(self._end, name)
            await asyncio.sleep(seconds)
            await asyncio.to_thread(self._engine.start)
            self.pids[name] = before, self._pid(name)

    def _end(self, name: str) -> int:
        pid = self._pid(name)
        if name == "postgres":
            cluster = self._engine.postgres.cluster()
            done = cluster.run("pg_ctl", ["stop", "-m", "immediate", "-w", "-s", "-D", cluster.data])
            assert done.returncode == 0, done.stderr
        elif pid:
            os.kill(pid, signal.SIGKILL)
        return pid

    def _pid(self, name: str) -> int:
        return next((one.pid or 0 for one in self._engine.status() if one.name == name), 0)
