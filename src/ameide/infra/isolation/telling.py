"""What the isolation of an attempt leaves for others: evidence, and what its work is named for."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ameide.infra.evidence import EvidenceWriter
from ameide.infra.isolation.proof import Proof
from ameide.infra.isolation.traffic import Traffic
from ameide_core_proto.transformation.work.v1.work_pb import Finding, FindingClass, WhereToFix, WorkResult

SANDBOX, NETWORK, ENDED = "sandbox.json", "network.json", "ended-processes.json"
"""The artifacts: the proof that the sandbox holds; what its children reached and tried to reach; the pids that had to
be killed, in the order met. The last two are absent when there is nothing to tell.
"""

LEFT = "process:left"


def keep(evidence: EvidenceWriter, proof: Proof | None, traffic: Traffic, ended: Sequence[int]) -> None:
    """Add the evidence."""
    if proof:
        evidence.add_text(SANDBOX, proof.document(), "application/json")
    if connections := traffic.document():
        evidence.add_text(NETWORK, connections, "application/json")
    if ended:
        evidence.add_text(ENDED, json.dumps({"pids": list(ended)}), "application/json")


def name_what_it_did(result: WorkResult, traffic: Traffic, left: int) -> None:
    """Add to the result of an agent what it did besides its change: `left` processes, and refused connections."""
    found = traffic.findings()
    if left:
        found.append(
            Finding(
                class_=FindingClass.POLICY_VIOLATION,
                id=LEFT,
                what_failed=f"It left {left} processes behind, which were ended.",
                why_it_matters="What goes on after the agent's turn is seen by nobody.",
                where_to_fix=WhereToFix.IMPLEMENTATION,
                fix_steps=["End what was started before the turn is over."],
            )
        )
    known = {finding.id for finding in result.findings}
    result.findings = [*result.findings, *(finding for finding in found if finding.id not in known)]
    if found:
        result.summary = f"{result.summary} {' '.join(finding.what_failed for finding in found[:3])}"
