"""What somebody who accepts a change has to see: the diff that the hash binds, the criteria and what covers them, cost.

All of it comes from the verifier's evidence and the Domain; the coder's own words are no source.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from ameide.cli.session import Session
from ameide.contracts.usage import added
from ameide.errors import AmeideError
from ameide.infra.diff_hash import patch_hash
from ameide.rpc.clients import Clients
from ameide.secret_shapes import MASK
from ameide_core_proto.transformation.governance.v1.governance_pb import Gate, GateSubject
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.governance.v1.query_service_pb import (
    Cost,
    GetChangeRequest,
    GetGateRequest,
    GetGateResponse,
)
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import ArtifactContent, ArtifactKind
from ameide_core_proto.transformation.work.v1.query_service_pb import GetWorkRequest
from ameide_core_proto.transformation.work.v1.work_pb import CheckStatus, EvidenceBundle, Usage

VERIFIED_PATCH, CRITERIA = "verified.patch", "criteria.json"


@dataclass(frozen=True)
class Covering:
    """A check whose own source names a criterion; `status` is how it ended at the bound commit."""

    check: str
    status: str
    where: str


@dataclass(frozen=True)
class Criterion:
    """One acceptance criterion, by its number from 1."""

    number: int
    text: str
    named_by: Sequence[Covering] = ()


@dataclass(frozen=True)
class Diff:
    """The patch as the verifier made it. `problem` says why it is not what the hash binds; empty when it is."""

    patch: bytes = b""
    bound_hash: str = ""
    shown_hash: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Review:
    """Everything beside the gate itself. `diff` is None at gates that bind no change."""

    criteria: Sequence[Criterion] = ()
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    diff: Diff | None = None
    cost: Cost | None = field(default=None)
    # What the conversations about the change used; part of no work's cost.
    talked: Usage | None = field(default=None)


async def get_gate(session: Session, clients: Clients, gate_id: str) -> GetGateResponse:
    """The gate alone."""
    return await clients.queries.get_gate(GetGateRequest(scope=session.scope, gate_id=gate_id))


async def review(session: Session, clients: Clients, gate_id: str) -> tuple[GetGateResponse, Review]:
    """The gate, and what surrounds it."""
    answer = await get_gate(session, clients, gate_id)
    gate = answer.gate
    if gate is None or not gate.change_id:
        return answer, Review()
    change = await clients.queries.get_change(GetChangeRequest(scope=session.scope, change_id=gate.change_id))
    subject = gate.subject or GateSubject()
    talked = added(each.usage for each in change.conversations if each.usage) if change.conversations else None
    if gate.kind is not GateKind.ACCEPTANCE or not subject.verify_work_request_id:
        return answer, Review(cost=change.total, talked=talked)
    requirements = [one for one in change.artifacts if one.kind == ArtifactKind.REQUIREMENT and one.current]
    content = requirements[-1].current.content if requirements and requirements[-1].current else None
    request = GetWorkRequest(scope=session.scope, work_request_id=subject.verify_work_request_id)
    evidence = (await clients.work_queries.get_work(request)).evidence or EvidenceBundle()
    named = _namings(await _bytes(session, evidence, CRITERIA))
    counted = [check.status for check in evidence.check_results]
    return answer, Review(
        criteria=_criteria(content or ArtifactContent(), named),
        passed=counted.count(CheckStatus.PASSED),
        failed=counted.count(CheckStatus.FAILED),
        skipped=counted.count(CheckStatus.SKIPPED),
        diff=judged(gate, await _bytes(session, evidence, VERIFIED_PATCH)),
        cost=change.total,
        talked=talked,
    )


def judged(gate: Gate, patch: bytes | None) -> Diff:
    """The patch beside the hash that the gate binds."""
    subject = gate.subject or GateSubject()
    bound = subject.diff_hash
    if patch is None:
        by_hand = f"git diff {subject.base_sha} {subject.commit_sha}"
        problem = f"The verifier's evidence cannot be read here, so no diff is shown. Read it in a clone: {by_hand}"
        return Diff(bound_hash=bound, problem=problem)
    shown = patch_hash(patch)
    if shown == bound:
        return Diff(patch, bound, shown)
    masked = patch.count(MASK.encode())
    if masked:
        why = f"{masked} places that look like secrets are masked in it"
    elif b" bytes left out]" in patch:
        why = "its middle is left out"
    else:
        why = "it is another diff: do not decide on it"
    return Diff(patch, bound, shown, f"What is shown has not the hash that the gate binds: {why}.")


def as_data(found: Review) -> dict[str, Any]:
    """The review for programs; the patch as text, bytes that are not UTF-8 replaced."""
    diff = found.diff
    return {
        "criteria": [
            {**asdict(criterion), "named_by": [asdict(one) for one in criterion.named_by]}
            for criterion in found.criteria
        ],
        "checks": {"passed": found.passed, "failed": found.failed, "skipped": found.skipped},
        "diff": None
        if diff is None
        else {
            "patch": diff.patch.decode("utf-8", "replace"),
            "bound_hash": diff.bound_hash,
            "shown_hash": diff.shown_hash,
            "is_what_is_bound": not diff.problem,
            "problem": diff.problem,
        },
        "cost": json.loads(found.cost.to_json(always_emit_implicit=True)) if found.cost else None,
        "talked": json.loads(found.talked.to_json(always_emit_implicit=True)) if found.talked else None,
    }


async def _bytes(session: Session, evidence: EvidenceBundle, name: str) -> bytes | None:
    for artifact in evidence.artifacts:
        if artifact.name == name:
            try:
                data = await session.object_store().get(artifact.uri)
            except AmeideError:
                return None
            # Other bytes than were recorded are nobody's evidence.
            return data if hashlib.sha256(data).hexdigest() == artifact.sha256 else None
    return None


def _namings(data: bytes | None) -> dict[int, list[Covering]]:
    stored = cast("dict[str, list[dict[str, str]]]", json.loads(data or b"{}"))
    return {
        int(number): [Covering(one["check"], one["status"], one["where"]) for one in namings]
        for number, namings in stored.items()
    }


def _criteria(content: ArtifactContent, named: dict[int, list[Covering]]) -> list[Criterion]:
    return [
        Criterion(number, text, named.get(number, ()))
        for number, text in enumerate(content.acceptance_criteria, start=1)
    ]
