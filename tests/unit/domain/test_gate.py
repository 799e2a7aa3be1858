"""Gates: who may decide, on what, and how often."""

import pytest
from protobuf.wkt import Timestamp

from ameide.contracts.subjects import subject_hash
from ameide.domain.decisions import gate as gates
from ameide.domain.decisions.default_policy import default_policy
from ameide.domain.decisions.duties import Hands
from ameide.errors import InvalidArgument, PermissionDenied, Refused
from ameide_core_proto.common.v1.metadata_pb import Actor, Scope
from ameide_core_proto.transformation.governance.v1.command_service_pb import DecideGateRequest, OpenGateRequest
from ameide_core_proto.transformation.governance.v1.facts_pb import GateDecided, GateVoteRecorded
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    Change,
    ChangeStatus,
    Gate,
    GateStatus,
    GateSubject,
    GateVerdict,
    Run,
)
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind, Policy

NOW = Timestamp(seconds=1_700_000_000)
SUBJECT = GateSubject(commit_sha="a" * 40, diff_hash="b" * 64)
CHANGE = Change(change_id="chg-1", status=ChangeStatus.OPEN, requester=Actor(principal_id="rita"))
RUN = Run(scope=Scope(tenant_id="default"), process_instance_id="r2r/default/chg-1/1", change_id="chg-1")


def policy(quorum: int = 1, expires: int = 0, **flags: bool) -> Policy:
    made = default_policy("orders", gitops=True)
    for rule in made.gates:
        rule.quorum = quorum
        rule.expires_after_seconds = expires
        rule.requester_may_decide = flags.get("requester_may_decide", False)
        rule.agents_may_decide = flags.get("agents_may_decide", False)
    return made


def opened(kind: GateKind = GateKind.ACCEPTANCE, in_force: Policy | None = None) -> Gate:
    command = OpenGateRequest(kind=kind, subject=SUBJECT, subject_hash=subject_hash(kind, SUBJECT))
    gate = gates.open_gate(command, "gat-1", RUN, in_force or policy(), NOW).gate
    assert gate is not None
    return gate


def voice(name: str = "anna", kind: str = "PERSON", *roles: str) -> gates.Voice:
    return gates.Voice(Actor(principal_id=name), kind, frozenset(roles or ("approver",)))


def command(gate: Gate, verdict: GateVerdict = GateVerdict.APPROVE, comment: str = "") -> DecideGateRequest:
    return DecideGateRequest(gate_id=gate.gate_id, verdict=verdict, subject_hash=gate.subject_hash, comment=comment)


def decided(gate: Gate, request: DecideGateRequest, by: gates.Voice, in_force: Policy | None = None) -> Gate:
    last = gates.decide(gate, CHANGE, in_force or policy(), request, by, NOW)[-1]
    assert isinstance(last, GateDecided)
    assert last.gate is not None
    return last.gate


def test_a_gate_binds_the_hash_of_its_subject() -> None:
    wrong = OpenGateRequest(kind=GateKind.ACCEPTANCE, subject=SUBJECT, subject_hash="0" * 64)
    with pytest.raises(InvalidArgument, match="subject_hash"):
        gates.open_gate(wrong, "gat-1", RUN, policy(), NOW)


def test_one_approval_passes_a_quorum_of_one_and_names_the_policy() -> None:
    gate = opened()
    final = decided(gate, command(gate), voice())
    assert final.status == GateStatus.APPROVED
    assert final.version == 3
    assert final.votes[0].policy_version == policy().version


def test_two_voices_are_needed_for_a_quorum_of_two() -> None:
    gate = opened(in_force=policy(quorum=2))
    [first] = gates.decide(gate, CHANGE, policy(quorum=2), command(gate), voice("anna"), NOW)
    assert isinstance(first, GateVoteRecorded)
    assert first.gate is not None
    with pytest.raises(Refused, match="voted"):
        gates.decide(first.gate, CHANGE, policy(quorum=2), command(gate), voice("anna"), NOW)
    assert decided(first.gate, command(gate), voice("bert"), policy(quorum=2)).status == GateStatus.APPROVED


def test_the_hash_must_be_the_one_the_person_saw() -> None:
    gate = opened()
    stale = DecideGateRequest(gate_id="gat-1", verdict=GateVerdict.APPROVE, subject_hash="0" * 64)
    with pytest.raises(Refused, match="another subject"):
        gates.decide(gate, CHANGE, policy(), stale, voice(), NOW)


@pytest.mark.parametrize("verdict", [GateVerdict.REJECT, GateVerdict.OVERRIDE])
def test_reject_and_override_need_a_comment(verdict: GateVerdict) -> None:
    gate = opened()
    with pytest.raises(InvalidArgument, match="comment"):
        gates.decide(gate, CHANGE, policy(), command(gate, verdict), voice("o", "PERSON", "approver", "operator"), NOW)


def test_an_override_needs_an_operator() -> None:
    gate = opened()
    request = command(gate, GateVerdict.OVERRIDE, "known flake")
    with pytest.raises(PermissionDenied, match="operator"):
        gates.decide(gate, CHANGE, policy(), request, voice(), NOW)
    by = voice("olga", "PERSON", "approver", "operator")
    assert decided(gate, request, by).status == GateStatus.OVERRIDDEN


def test_who_asked_does_not_decide_unless_policy_says_so() -> None:
    gate = opened()
    with pytest.raises(PermissionDenied, match="second principal"):
        gates.decide(gate, CHANGE, policy(), command(gate), voice("rita"), NOW)
    lax = policy(requester_may_decide=True)
    assert decided(gate, command(gate), voice("rita"), lax).status == GateStatus.APPROVED


def test_who_wrote_the_requirement_does_not_approve_it() -> None:
    gate = opened()
    with pytest.raises(PermissionDenied, match="wrote its requirement"):
        gates.decide(gate, CHANGE, policy(), command(gate), voice("anna"), NOW, Hands(wanted=frozenset({"anna"})))


def test_the_quorum_is_that_of_the_policy_in_force() -> None:
    gate = opened()
    [first] = gates.decide(gate, CHANGE, policy(quorum=2), command(gate), voice("anna"), NOW)
    assert isinstance(first, GateVoteRecorded)


def test_an_expired_gate_is_not_decided_even_before_the_sweeper_says_so() -> None:
    gate = opened(in_force=policy(expires=60))
    late = Timestamp(seconds=NOW.seconds + 60)
    with pytest.raises(Refused, match="has expired"):
        gates.decide(gate, CHANGE, policy(), command(gate), voice(), late)


def test_the_newest_gate_is_the_one_opened_last_whatever_its_id() -> None:
    older, newer = opened(), opened()
    older.gate_id, newer.gate_id = "gat-9", "gat-1"
    newer.opened_at = Timestamp(seconds=NOW.seconds + 1)
    assert max([older, newer], key=gates.opened) is newer


def test_an_agent_approves_nothing_unless_policy_says_so() -> None:
    gate = opened()
    with pytest.raises(PermissionDenied, match="people"):
        gates.decide(gate, CHANGE, policy(), command(gate), voice("bot", "AGENT"), NOW)
    lax = policy(agents_may_decide=True)
    assert decided(gate, command(gate), voice("bot", "AGENT"), lax).status == GateStatus.APPROVED


def test_a_role_that_the_policy_does_not_name_is_refused() -> None:
    gate = opened(GateKind.READY_TO_RELEASE)
    with pytest.raises(PermissionDenied, match="releaser"):
        gates.decide(gate, CHANGE, policy(), command(gate), voice(), NOW)


def test_a_decided_gate_stays_decided() -> None:
    gate = opened()
    final = decided(gate, command(gate), voice())
    with pytest.raises(Refused, match="approved"):
        gates.decide(final, CHANGE, policy(), command(gate), voice("bert"), NOW)


def test_a_passed_gate_can_be_voided_until_it_is_used() -> None:
    gate = opened()
    final = decided(gate, command(gate), voice())
    voided = gates.void(final, "revised").gate
    assert voided is not None
    assert voided.status == GateStatus.VOIDED
    final.consumed_by = "wrk-1"
    with pytest.raises(Refused, match="used"):
        gates.void(final, "revised")
    assert gates.voidable([final, gate]) == [gate]


def test_expiry_comes_from_the_policy() -> None:
    gate = opened(in_force=policy(expires=60))
    assert gate.expires_at is not None
    assert gate.expires_at.seconds == NOW.seconds + 60
    expired = gates.expire(gate).gate
    assert expired is not None
    assert expired.status == GateStatus.EXPIRED
