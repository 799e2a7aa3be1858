"""What is shown at an acceptance gate: the diff that the hash binds, the criteria and who names them, the cost."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from connectrpc.request import RequestContext

from ameide.contracts.subjects import subject_hash
from ameide.infra.diff_hash import patch_hash
from ameide_core_proto.transformation.governance.v1 import query_service_pb as q
from ameide_core_proto.transformation.governance.v1.governance_pb import Gate, GateSubject
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import (
    Artifact,
    ArtifactContent,
    ArtifactKind,
    ArtifactVersion,
)
from ameide_core_proto.transformation.work.v1 import query_service_pb as w
from ameide_core_proto.transformation.work.v1.work_pb import (
    CheckResult,
    CheckStatus,
    EvidenceArtifact,
    EvidenceBundle,
    Finding,
    Usage,
    WorkRequest,
)

from .conftest import CommandLine, Script, open_gate

PATCH = b"""diff --git a/a.py b/a.py
index 1111111..2222222 100644
--- a/a.py
+++ b/a.py
@@ -1,2 +1,3 @@
 one
-two
+two \x1b[2J\x9b
+three
"""
NAMINGS = {"2": [{"check": "tests/test_a.py::test_ac2", "status": "passed", "where": "tests/test_a.py"}]}


def acceptance(diff_hash: str) -> Gate:
    """An acceptance gate that binds a diff."""
    gate = open_gate("gat-1", GateKind.ACCEPTANCE)
    gate.subject = GateSubject(
        commit_sha="b" * 40, base_sha="a" * 40, diff_hash=diff_hash, verify_work_request_id="wrk-1"
    )
    gate.subject_hash = subject_hash(gate.kind, gate.subject)
    return gate


@pytest.fixture
def shown(ameide: CommandLine, script: Script, monkeypatch: pytest.MonkeyPatch) -> Script:
    """A gate with a verification behind it, whose evidence lies in the state folder."""
    folder = ameide.state.root / "objects" / "work"
    folder.mkdir(parents=True)
    artifacts: list[EvidenceArtifact] = []
    for name, data in (("verified.patch", PATCH), ("criteria.json", json.dumps(NAMINGS).encode())):
        (folder / name).write_bytes(data)
        artifacts.append(EvidenceArtifact(name=name, uri=f"store:work/{name}", sha256=hashlib.sha256(data).hexdigest()))
    checks = [CheckResult(id="tests/test_a.py::test_ac2", status=CheckStatus.PASSED)]
    evidence = EvidenceBundle(artifacts=artifacts, check_results=checks)
    script.works = [w.GetWorkResponse(work=WorkRequest(work_request_id="wrk-1"), evidence=evidence)]
    script.gates = [acceptance(patch_hash(PATCH))]
    content = ArtifactContent(
        title="Cancel", acceptance_criteria=["An open one can be canceled", "A shipped one stays"]
    )
    requirement = Artifact(kind=ArtifactKind.REQUIREMENT, current=ArtifactVersion(number=1, content=content))

    async def get_change(_request: q.GetChangeRequest, _ctx: RequestContext[Any, Any], /) -> q.GetChangeResponse:
        usage = Usage(input_tokens=1200, output_tokens=34, cost_micros=56_000)
        total = q.Cost(usage=usage, works=3, wall_time_ms=61_000)
        return q.GetChangeResponse(artifacts=[requirement], total=total)

    monkeypatch.setattr(script, "get_change", get_change)
    return script


def test_the_diff_that_is_shown_is_the_one_that_is_bound(ameide: CommandLine, shown: Script) -> None:
    answer = ameide("gate", "show", "gat-1")
    assert f"recomputed from these lines, the diff hash is {patch_hash(PATCH)}" in answer.out
    assert "-two\n+two \\x1b[2J" in answer.out, "what a change says cannot steer the terminal"
    assert "\x1b" not in answer.out
    assert "\x9b" not in answer.out
    review = json.loads(ameide("gate", "show", "gat-1", "--json").out)["review"]
    assert review["diff"]["is_what_is_bound"]
    assert review["diff"]["shown_hash"] == patch_hash(PATCH)


def test_neither_the_requirement_nor_a_finding_can_steer_the_terminal(
    ameide: CommandLine, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    escape = "\x1b[2J\x9b"
    gate = open_gate()
    gate.subject = GateSubject(
        reason=f"Red{escape}", findings=[Finding(id=f"t{escape}", what_failed=f"one\ntwo{escape}", location=escape)]
    )
    gate.subject_hash = subject_hash(gate.kind, gate.subject)
    content = ArtifactContent(
        title=f"Cancel{escape}", text=f"Please\ndo{escape}", acceptance_criteria=[escape], source=escape
    )

    async def get_gate(_request: q.GetGateRequest, _ctx: RequestContext[Any, Any], /) -> q.GetGateResponse:
        return q.GetGateResponse(gate=gate, artifact=Artifact(current=ArtifactVersion(number=1, content=content)))

    monkeypatch.setattr(script, "get_gate", get_gate)
    said = ameide("gate", "show", "gat-1").out
    assert "Please\ndo\\x1b[2J\\x9b\n" in said
    assert "    one\n    two\\x1b[2J\\x9b\n" in said
    assert "\x1b" not in said
    assert "\x9b" not in said


def test_another_diff_than_the_bound_one_is_said(ameide: CommandLine, shown: Script) -> None:
    shown.gates = [acceptance("0" * 64)]
    assert "it is another diff: do not decide on it" in ameide("gate", "show", "gat-1").out
    assert not json.loads(ameide("gate", "show", "gat-1", "--json").out)["review"]["diff"]["is_what_is_bound"]


def test_evidence_that_was_changed_or_is_gone_is_not_shown(ameide: CommandLine, shown: Script) -> None:
    file = ameide.state.root / "objects" / "work" / "verified.patch"
    file.write_bytes(PATCH.replace(b"three", b"four"))
    said = ameide("gate", "show", "gat-1").out
    assert "four" not in said
    assert f"git diff {'a' * 40} {'b' * 40}" in said
    file.unlink()
    assert ameide("gate", "show", "gat-1").out == said


def test_criteria_are_shown_with_the_checks_that_name_them_and_those_that_none_names(
    ameide: CommandLine, shown: Script
) -> None:
    said = ameide("gate", "show", "gat-1").out
    assert "  1. An open one can be canceled\n     no check names it\n" in said
    assert "named by the test itself: tests/test_a.py::test_ac2 (passed)" in said
    assert "1 checks passed, 0 failed, 0 skipped" in said
    first, second = json.loads(ameide("gate", "show", "gat-1", "--json").out)["review"]["criteria"]
    assert (first["number"], first["named_by"]) == (1, [])
    assert [one["check"] for one in second["named_by"]] == ["tests/test_a.py::test_ac2"]


def test_the_cost_so_far_is_shown(ameide: CommandLine, shown: Script) -> None:
    said = ameide("gate", "show", "gat-1").out
    assert "1200 in, 34 out" in said
    assert "0.0560" in said
    assert "1m01s in 3 works" in said
