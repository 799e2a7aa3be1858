"""Deciding from the command line: on what was seen, as whom, and waiting for a gate that may not come."""

from __future__ import annotations

from ameide_core_proto.transformation.governance.v1.governance_pb import GateVerdict, RunStatus
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind

from .conftest import CHANGE, CommandLine, Script, open_gate


def test_the_hash_that_is_shown_is_the_one_to_decide_with(ameide: CommandLine, script: Script) -> None:
    script.gates = [open_gate()]
    shown = ameide("gate", "show", "gat-1", "--only-hash").out.strip()
    assert shown in ameide("gate", "show", "gat-1").out
    answer = ameide("--as", "approver", "gate", "approve", "gat-1", "--hash", shown, "--comment", "fine")
    assert answer.code == 0
    assert "approved" in answer.out
    [(principal, request)] = script.decided
    assert (principal, request.verdict, request.comment) == ("approver", GateVerdict.APPROVE, "fine")


def test_a_decision_needs_a_hash(ameide: CommandLine, script: Script) -> None:
    script.gates = [open_gate()]
    answer = ameide("gate", "approve", "gat-1")
    assert answer.code == 2
    assert "--only-hash" in answer.err
    assert script.decided == []


def test_another_subject_than_the_one_seen_is_refused(ameide: CommandLine, script: Script) -> None:
    script.gates = [open_gate()]
    answer = ameide("gate", "approve", "gat-1", "--hash", "0" * 64)
    assert answer.code == 1
    assert "another subject" in answer.err


def test_rejecting_needs_a_reason(ameide: CommandLine, script: Script) -> None:
    script.gates = [open_gate()]
    answer = ameide("gate", "reject", "gat-1", "--hash", "0" * 64)
    assert answer.code == 2
    assert "--comment" in answer.err


def test_a_repeated_command_carries_its_key(ameide: CommandLine, script: Script) -> None:
    script.gates = [open_gate()]
    ameide("gate", "approve", "gat-1", "--hash", script.gates[0].subject_hash, "--request-id", "once")
    ameide("gate", "approve", "gat-1", "--hash", script.gates[0].subject_hash)
    ameide("gate", "approve", "gat-1", "--hash", script.gates[0].subject_hash)
    keys = [request.client_request_id for _, request in script.decided]
    assert keys[0] == "once"
    assert len(set(keys)) == 3


def test_a_shown_subject_that_the_hash_does_not_cover_is_said(ameide: CommandLine, script: Script) -> None:
    script.gates = [open_gate()]
    script.gates[0].subject_hash = "0" * 64
    assert "do not decide" in ameide("gate", "show", "gat-1").out


def test_waiting_finds_the_open_gate(ameide: CommandLine, script: Script) -> None:
    script.gates = [open_gate("gat-7", GateKind.ACCEPTANCE)]
    answer = ameide("gate", "list", "--change", CHANGE, "--wait", "--kind", "acceptance", "-q")
    assert (answer.code, answer.out.strip()) == (0, "gat-7")


def test_waiting_ends_when_the_run_stops_elsewhere(ameide: CommandLine, script: Script) -> None:
    script.gates = [open_gate("gat-8", GateKind.NEEDS_HUMAN)]
    answer = ameide("gate", "list", "--change", CHANGE, "--wait", "--kind", "acceptance", "-q")
    assert answer.code == 1
    assert "needs human" in answer.err
    assert "gat-8" in answer.err


def test_waiting_ends_with_the_run(ameide: CommandLine, script: Script) -> None:
    script.run.status, script.run.outcome = RunStatus.FAILED, "failed"
    answer = ameide("gate", "list", "--change", CHANGE, "--wait")
    assert answer.code == 1
    assert "has ended" in answer.err


def test_the_end_of_a_run_is_an_exit_code(ameide: CommandLine, script: Script) -> None:
    script.run.status, script.run.outcome = RunStatus.COMPLETED, "delivered"
    assert ameide("change", "wait", CHANGE).code == 0
    script.run.status, script.run.outcome = RunStatus.FAILED, "needs_human_rejected"
    answer = ameide("change", "wait", CHANGE)
    assert answer.code == 1
    assert "needs_human_rejected" in answer.out
