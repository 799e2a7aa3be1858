"""The folder of a run under load: where everything is reached, and what was journalled outside of the program.

`rig.json` says where the database and Temporal are. `acknowledged.jsonl` has a line for each request that a client got
an answer to; `effects.jsonl` one for each side effect, written and synced before it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Rig:
    """`database_url_admin` is the superuser's; without a `temporal_address` no run is looked at.

    With `kafka_brokers` all facts have gone by Kafka from the first one on.
    """

    database_url_admin: str
    temporal_address: str = ""
    temporal_namespace: str = ""
    address: str = ""
    tenant: str = "default"
    kafka_brokers: str = ""


@dataclass(frozen=True)
class Acknowledged:
    """`kind` is run, work or change."""

    kind: str
    id: str
    client_request_id: str
    tenant_id: str


@dataclass(frozen=True)
class Effect:
    """A side effect that an executor was about to have."""

    work_request_id: str
    attempt: int


def read_rig(folder: Path) -> Rig:
    """Where the run took place. Raises FileNotFoundError in a folder that is none."""
    said: dict[str, Any] = json.loads((folder / "rig.json").read_text(encoding="utf-8"))
    return Rig(**{name: str(said[name]) for name in Rig.__dataclass_fields__ if name in said})


def read_acknowledged(folder: Path) -> list[Acknowledged]:
    """What clients were told, in the order of the journal."""
    return [
        Acknowledged(line["kind"], line["id"], line["client_request_id"], line["tenant_id"])
        for line in _lines(folder / "acknowledged.jsonl")
    ]


def read_effects(folder: Path) -> list[Effect] | None:
    """The side effects in the order of the journal; None when the run kept no such journal."""
    path = folder / "effects.jsonl"
    if not path.exists():
        return None
    return [Effect(line["work_request_id"], int(line["attempt"])) for line in _lines(path)]


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    *whole, rest = path.read_text(encoding="utf-8").split("\n")
    # A writer that was killed leaves a last line without its end; it had not got as far as to act upon it.
    del rest
    for line in whole:
        yield json.loads(line)
