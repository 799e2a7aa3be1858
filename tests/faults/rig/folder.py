"""The run folder: what the client was promised and what executors did, each line on disk before anything follows it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["run", "work", "change"]


@dataclass(frozen=True)
class Acknowledged:
    """A request that the Domain has answered: it must be found in every record from then on."""

    kind: Kind
    id: str
    client_request_id: str
    tenant_id: str


@dataclass(frozen=True)
class Effect:
    """A side effect that an executor is about to have."""

    work_request_id: str
    attempt: int
    pid: int


@dataclass(frozen=True)
class RunFolder:
    """`acknowledged.jsonl`, `effects.jsonl` and `rig.json` in one folder: all that the oracle is given."""

    root: Path

    @property
    def effects(self) -> Path:
        """One line an effect."""
        return self.root / "effects.jsonl"

    def acknowledge(self, acknowledged: Acknowledged) -> None:
        """Note an answer."""
        append(self.root / "acknowledged.jsonl", asdict(acknowledged))

    def acknowledged(self) -> list[Acknowledged]:
        """All answers until now."""
        return [Acknowledged(**line) for line in _lines(self.root / "acknowledged.jsonl")]

    def effects_done(self) -> list[Effect]:
        """All effects until now."""
        return [Effect(**line) for line in _lines(self.effects)]

    def describe(self, **where: str) -> None:
        """Say where the installation is; the file holds the superuser's password."""
        file = os.open(self.root / "rig.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(file, "w", encoding="utf-8") as opened:
            json.dump(where, opened)


def append(path: Path, line: dict[str, object]) -> None:
    """Write one line and have it on disk: a process killed after this call has left it."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(file, (json.dumps(line) + "\n").encode())
        os.fsync(file)
    finally:
        os.close(file)


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    # A line that a kill cut short was never relied on.
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
