"""`python -m benchmarks.peers NAME`: one queue, asked by lines of JSON."""

from __future__ import annotations

import asyncio
import importlib
import sys
from typing import Any

from benchmarks.peers.port import Peer
from benchmarks.talking import answering

NAMES = {
    "ameide": ("ameide_queue", "Ameide"),
    "procrastinate": ("procrastinate_queue", "Procrastinate"),
    "pgqueuer": ("pgqueuer_queue", "Pgqueuer"),
    "dbos": ("dbos_queue", "Dbos"),
}


async def _serve(name: str) -> None:
    module, kind = NAMES[name]
    peer: Peer = getattr(importlib.import_module(f"benchmarks.peers.{module}"), kind)()

    async def answer(question: dict[str, Any]) -> Any:
        match question["do"]:
            case "prepare":
                return await peer.prepare(question["dsn"])
            case "fill":
                return await peer.fill(question["jobs"])
            case "drain":
                return await peer.drain(question["seconds"], question["batch"])
            case "pace":
                return await peer.pace(question["rate"], question["seconds"])
            case other:
                raise ValueError(other)

    await answering(answer)


asyncio.run(_serve(sys.argv[1]))
