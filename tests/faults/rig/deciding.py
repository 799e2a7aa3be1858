"""The people of the rig: they approve what waits for them, but for the gates that are there to expire."""

from __future__ import annotations

from contextlib import suppress

from ameide.errors import AmeideError
from ameide_core_proto.transformation.governance.v1.command_service_pb import DecideGateRequest
from ameide_core_proto.transformation.governance.v1.governance_pb import Gate, GateStatus, GateVerdict
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.governance.v1.query_service_pb import ListGatesRequest
from tests.faults.rig.client import RigClient
from tests.faults.rig.patience import pause
from tests.faults.rig.policies import EXPIRING


async def decide_gates(client: RigClient) -> None:
    """Approve open gates until cancelled. The first acceptance gate of each run on `expiring` is left to expire."""
    seen: dict[str, str] = {}
    decided: set[str] = set()
    while True:
        answer = await client.say(
            client.by("approver").queries.list_gates, ListGatesRequest(statuses=[GateStatus.OPEN])
        )
        for gate in answer.gates:
            first = seen.setdefault(gate.process_instance_id, gate.gate_id)
            if gate.gate_id in decided or (first == gate.gate_id and _may_expire(gate)):
                continue
            await _approve(client, gate)
            decided.add(gate.gate_id)
        await pause()


def _may_expire(gate: Gate) -> bool:
    of_expiring = gate.scope is not None and gate.scope.repository_id == EXPIRING
    return of_expiring and gate.kind == GateKind.ACCEPTANCE


async def _approve(client: RigClient, gate: Gate) -> None:
    # It may be decided, expired or voided by now; the run says how it goes on.
    with suppress(AmeideError):
        await client.say(
            client.by("approver").governance.decide_gate,
            DecideGateRequest(
                client_request_id=f"decide/{gate.gate_id}",
                gate_id=gate.gate_id,
                verdict=GateVerdict.APPROVE,
                subject_hash=gate.subject_hash,
                comment="as agreed",
            ),
        )
