"""A test-only executor process: the product's own loop, attempt and report, with scripted steps."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from ameide import config, faults, logs
from ameide.app.executors import invited
from ameide.contracts import topics
from ameide.engine.files import write_whole
from ameide.infra.executor import Executor
from ameide.infra.object_store import ObjectStore
from ameide.infra.settings import AUTHOR_QUEUES, ExecutorSettings
from ameide.infra.work_root import occupy
from ameide.rpc.clients import Clients
from tests.faults.rig.steps import scripted

NAME = "executor-double"
QUEUES = {"author": AUTHOR_QUEUES, "verifier": (topics.QUEUE_VERIFY, topics.QUEUE_PUBLISH)}
"""The queue of UI suites is left to whoever claims by hand."""
_SLOTS = 4


def main(argv: list[str]) -> None:
    """`author|verifier EFFECTS --ready-file FILE`; everything else comes from the environment, as for the product's."""
    name, effects, _, ready_file = argv
    asyncio.run(_serve(name, Path(effects), Path(ready_file)))


async def _serve(name: str, effects: Path, ready_file: Path) -> None:
    said = config.read()
    logs.configure(said.log_level)
    faults.arm(said.crash_at)
    root = occupy(said.work_dir, name)
    settings = ExecutorSettings(
        address=said.address,
        token=said.token,
        name=name,
        queues=QUEUES[name],
        work_root=root.folder,
        object_store=said.object_store,
        registry="",
        forge="",
        python=Path(sys.executable),
        search_path=(),
        slots=_SLOTS,
        poll_seconds=2,
    )
    async with Clients(settings.address, settings.token) as clients:
        executor = Executor(
            settings,
            scripted(effects),
            clients,
            ObjectStore(settings.object_store),
            invited=invited(said, name, settings.queues)({said.tenant: clients}),
        )
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, executor.stop)
        write_whole(ready_file, f"{os.getpid()}\n")
        await executor.serve()
    root.close()
