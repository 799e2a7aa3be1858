"""A small oracle: what was acknowledged is in the Domain's records, and no attempt had its effect twice."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.faults.rig.folder import RunFolder


@dataclass
class Verdict:
    """What was found; each line names an id."""

    lost: list[str] = field(default_factory=list[str])
    doubled: list[str] = field(default_factory=list[str])

    @property
    def ok(self) -> bool:
        """Nothing was."""
        return not (self.lost or self.doubled)


async def examine(folder: Path) -> Verdict:
    """Judge the run of a folder."""
    notes = RunFolder(folder)
    dsn = json.loads((folder / "rig.json").read_text(encoding="utf-8"))["database_url_admin"]
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        cursor = await connection.execute(
            "SELECT id FROM ameide.aggregate UNION ALL SELECT work_request_id FROM ameide.work"
        )
        known = {row[0] for row in await cursor.fetchall()}
    effects = Counter((effect.work_request_id, effect.attempt) for effect in notes.effects_done())
    return Verdict(
        [f"{noted.kind} {noted.id}" for noted in notes.acknowledged() if noted.id not in known],
        [f"attempt {attempt} of {work}" for (work, attempt), times in effects.items() if times > 1],
    )
