"""What is told of a gate that waits: ids, its kind, a short reason, who may decide and by which command. No bodies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from protobuf.wkt import Timestamp

from ameide.contracts.marks import WARNING
from ameide.secret_shapes import masked
from ameide_core_proto.transformation.governance.v1.governance_pb import Gate, GateSubject

_REASON = 200
_MARKED = 10


@dataclass(frozen=True)
class Notice:
    """A notification. The same gate always has the same `id`, so that whoever gets it twice can tell."""

    id: str
    body: bytes


class NotSent(Exception):
    """It did not arrive; `retry` says whether the same may arrive later. The message names what to look at."""

    def __init__(self, message: str, *, retry: bool = True) -> None:
        super().__init__(message)
        self.retry = retry


class Sender(Protocol):
    """A way to tell. Raises `NotSent`."""

    async def send(self, notice: Notice) -> None: ...


def notice_of(gate: Gate, deciders: Sequence[str], marked: Sequence[str] = ()) -> Notice:
    """The notice of an open gate; `deciders` are the roles that may decide, empty when they are not known.

    `marked` are the conversations about the change that read what anybody may have written, as far as they are known:
    of none the notice says nothing, since one may be marked later.
    """
    subject, scope = gate.subject or GateSubject(), gate.scope
    mark = {"mark": WARNING, "marked_conversations": list(marked[:_MARKED])} if marked else {}
    body = {
        "type": "gate.opened",
        "timestamp": _moment(gate.opened_at),
        "data": {
            "gate_id": gate.gate_id,
            "kind": gate.kind.name.lower(),
            "tenant_id": scope.tenant_id if scope else "",
            "repository_id": scope.repository_id if scope else "",
            "change_id": gate.change_id,
            "process_instance_id": gate.process_instance_id,
            "environment": subject.environment,
            "reason": masked(subject.reason.partition("\n")[0])[:_REASON],
            "may_decide": list(deciders),
            "votes_needed": gate.quorum,
            "expires_at": _moment(gate.expires_at),
            **mark,
            "show": f"ameide gate show {gate.gate_id}",
            "decide": f"ameide gate approve {gate.gate_id} --hash {gate.subject_hash}",
        },
    }
    return Notice(gate.gate_id, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())


def _moment(stamp: Timestamp | None) -> str:
    return stamp.to_datetime().isoformat() if stamp is not None else ""
