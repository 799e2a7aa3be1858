"""Hashes of what people decide on. The Process, the Domain and the person's client compute the same one."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from protobuf import Message

from ameide_core_proto.transformation.governance.v1.governance_pb import GateSubject
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import ArtifactContent

_NOT_AGREED_TO = frozenset({"scope", "clientRequestId", "requestedBy", "consentId"})


def _sha256(value: object) -> str:
    return hashlib.sha256(
        json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    ).hexdigest()


def content_hash(content: ArtifactContent) -> str:
    """SHA-256 of the bytes that an approval binds: title, text, criteria in order, and what its kind has besides."""
    bound: dict[str, object] = {
        "title": content.title,
        "text": content.text,
        "criteria": list(content.acceptance_criteria),
    }
    if content.triage is not None:
        bound["triage"] = json.loads(content.triage.to_json())
    if content.checklist:
        bound["checklist"] = [[item.gate, item.text] for item in content.checklist]
    return _sha256(bound)


def command_hash(command: Message[Any]) -> str:
    """SHA-256 of a command as a consent binds it: what it does, not who sends it, by which key or consent."""
    fields: dict[str, object] = json.loads(command.to_json())
    business = {name: value for name, value in fields.items() if name not in _NOT_AGREED_TO}
    return _sha256([type(command).__name__, business])


def subject_hash(kind: GateKind, subject: GateSubject) -> str:
    """SHA-256 of the fields that the kind binds (contracts 5), and of nothing else."""
    findings = [[finding.class_.name, finding.id] for finding in subject.findings]
    bound: dict[GateKind, list[object]] = {
        GateKind.REQUIREMENT_STABILIZED: [subject.artifact_id, subject.artifact_number, subject.content_hash],
        GateKind.ACCEPTANCE: [subject.commit_sha, subject.diff_hash, findings],
        GateKind.READY_TO_RELEASE: [subject.commit_sha],
        GateKind.PROMOTION: [subject.image_ref, subject.environment],
        GateKind.NEEDS_HUMAN: [subject.commit_sha, subject.reason, findings],
        GateKind.BUDGET: [subject.reason],
    }
    return _sha256([kind.name, *bound[kind]])
