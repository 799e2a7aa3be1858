"""Gates: Domain records, bound to the hash of what the person saw, passed once."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta

from protobuf import Message
from protobuf.wkt import Timestamp

from ameide.contracts.subjects import subject_hash
from ameide.domain.decisions.duties import Hands, hands, need_apart
from ameide.errors import InvalidArgument, PermissionDenied, Refused
from ameide_core_proto.common.v1.metadata_pb import Actor
from ameide_core_proto.transformation.governance.v1.command_service_pb import DecideGateRequest, OpenGateRequest
from ameide_core_proto.transformation.governance.v1.facts_pb import (
    GateDecided,
    GateExpired,
    GateOpened,
    GateVoided,
    GateVoteRecorded,
)
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    Change,
    Gate,
    GateParameters,
    GateStatus,
    GateVerdict,
    GateVote,
    Run,
)
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind, GateRule, Policy

PASSED = (GateStatus.APPROVED, GateStatus.OVERRIDDEN)
OVERRIDE_ROLES = frozenset({"operator", "admin"})


@dataclass(frozen=True, slots=True)
class Voice:
    """Who decides, as the Domain knows the principal."""

    actor: Actor
    kind: str
    roles: frozenset[str]


def rule_for(policy: Policy, kind: GateKind) -> GateRule:
    """The policy's rule for a kind; one that lets only an admin decide when the policy has none."""
    for rule in policy.gates:
        if rule.kind == kind:
            return rule
    return GateRule(kind=kind, required=False, decider_roles=["admin"], quorum=1)


def open_gate(command: OpenGateRequest, gate_id: str, run: Run, policy: Policy, now: Timestamp) -> GateOpened:
    """A gate on a subject. Raises InvalidArgument when the hash is not the subject's."""
    assert command.subject is not None
    expected = subject_hash(command.kind, command.subject)
    if command.subject_hash != expected:
        raise InvalidArgument(
            "is not the hash of the subject", field="subject_hash", remedy="Use contracts.subjects.subject_hash"
        )
    rule = rule_for(policy, command.kind)
    expires = None
    if rule.expires_after_seconds:
        expires = Timestamp.from_datetime(now.to_datetime() + timedelta(seconds=rule.expires_after_seconds))
    return GateOpened(
        gate=Gate(
            scope=run.scope,
            gate_id=gate_id,
            change_id=run.change_id,
            process_instance_id=run.process_instance_id,
            kind=command.kind,
            status=GateStatus.OPEN,
            subject=command.subject,
            subject_hash=expected,
            opened_at=now,
            expires_at=expires,
            quorum=max(rule.quorum, 1),
            version=1,
        )
    )


def decide(
    gate: Gate,
    change: Change,
    policy: Policy,
    command: DecideGateRequest,
    voice: Voice,
    now: Timestamp,
    done: Hands | None = None,
) -> list[Message]:
    """One voice; the last one needed decides. Authority, the quorum included, is read from the policy in force.

    `done` is who has a hand in the change: they may not decide on it. Without it only its requester is known.
    """
    _need_open(gate)
    if gate.expires_at is not None and gate.expires_at.to_datetime() <= now.to_datetime():
        raise Refused(f"gate {gate.gate_id} has expired", remedy="The run says how it goes on", reason="GATE_EXPIRED")
    if command.subject_hash != gate.subject_hash:
        raise Refused(
            "the gate binds another subject than the one you saw",
            field="subject_hash",
            remedy="Look at the gate again with `ameide gate show`",
            reason="SUBJECT_CHANGED",
        )
    rule = rule_for(policy, gate.kind)
    _admit(gate, rule, command.verdict, voice)
    need_apart(gate.kind, rule, policy, voice.actor.principal_id, done or hands(change, Run(), None, [], [], []))
    _need_first(gate, voice)
    if command.verdict in (GateVerdict.REJECT, GateVerdict.OVERRIDE) and not command.comment.strip():
        raise InvalidArgument(
            f"is required to {command.verdict.name.lower()}", field="comment", remedy="Say why, with --comment"
        )
    voted = _next(gate)
    voted.quorum = max(rule.quorum, 1)
    voted.parameters = parameters_of(gate, command)
    voted.votes.append(
        GateVote(
            actor=voice.actor, verdict=command.verdict, comment=command.comment, at=now, policy_version=policy.version
        )
    )
    facts: list[Message] = [GateVoteRecorded(gate=voted)]
    status = _outcome(voted, command.verdict)
    if status is not None:
        decided = _next(voted)
        decided.status = status
        decided.decided_at = now
        decided.decided_by = voice.actor
        decided.comment = command.comment
        facts.append(GateDecided(gate=decided))
    return facts


def parameters_of(gate: Gate, command: DecideGateRequest) -> GateParameters | None:
    """What the gate carries with this voice. All who approve mean the same: the last grants no more than the first did.

    Raises Refused(OTHER_PARAMETERS).
    """
    said = command.parameters if command.parameters and command.parameters != GateParameters() else None
    if command.verdict != GateVerdict.APPROVE or not gate.votes:
        return said
    if said is not None and said != (gate.parameters or GateParameters()):
        raise Refused(
            "whoever approved before you meant other parameters",
            field="parameters",
            remedy="Leave them out to agree, or reject with a comment",
            reason="OTHER_PARAMETERS",
        )
    return gate.parameters


def void(gate: Gate, reason: str, *, used_in_vain: bool = False) -> GateVoided:
    """Takes back a gate, open or passed, whose subject changed. Refused once its pass was used.

    `used_in_vain`: the work that used it ended failed or canceled, so the pass may be used again, or be taken back.
    """
    if gate.status not in (GateStatus.OPEN, *PASSED):
        raise Refused(
            f"gate {gate.gate_id} is {gate.status.name.lower()}", remedy="Nothing to void", reason="GATE_CLOSED"
        )
    if gate.consumed_by and not used_in_vain:
        raise Refused(
            f"gate {gate.gate_id} was used by {gate.consumed_by}",
            remedy="Undo its effect with a new change",
            reason="GATE_CONSUMED",
        )
    changed = _next(gate)
    changed.status = GateStatus.VOIDED
    changed.void_reason = reason
    return GateVoided(gate=changed)


def expire(gate: Gate) -> GateExpired:
    """By the sweeper, when nobody decided in time."""
    _need_open(gate)
    changed = _next(gate)
    changed.status = GateStatus.EXPIRED
    return GateExpired(gate=changed)


def opened(gate: Gate) -> tuple[int, int, str]:
    """Orders gates by when they were opened, on the database's clock."""
    at = gate.opened_at or Timestamp()
    return at.seconds, at.nanos, gate.gate_id


def voidable(gates: Iterable[Gate]) -> list[Gate]:
    """Those that can still be taken back."""
    return [gate for gate in gates if gate.status in (GateStatus.OPEN, *PASSED) and not gate.consumed_by]


def _need_open(gate: Gate) -> None:
    if gate.status != GateStatus.OPEN:
        raise Refused(
            f"gate {gate.gate_id} is {gate.status.name.lower()}",
            remedy="`ameide gate list` shows the open ones",
            reason="GATE_CLOSED",
        )


def _admit(gate: Gate, rule: GateRule, verdict: GateVerdict, voice: Voice) -> None:
    if voice.actor.on_behalf_of:
        raise PermissionDenied(
            "nobody is represented at a gate",
            remedy=f"{voice.actor.on_behalf_of} decides by a token of their own",
            reason="NOT_FOR_OTHERS",
        )
    if not voice.roles.intersection(rule.decider_roles):
        raise PermissionDenied(
            f"the policy lets only {', '.join(rule.decider_roles)} decide {gate.kind.name}",
            remedy="Ask one of them",
            reason="NOT_A_DECIDER",
        )
    if verdict == GateVerdict.OVERRIDE and not voice.roles & OVERRIDE_ROLES:
        raise PermissionDenied("only an operator or admin may override", remedy="Ask one", reason="NOT_A_DECIDER")
    if voice.kind != "PERSON" and not rule.agents_may_decide:
        raise PermissionDenied(
            "the policy lets only people decide here", remedy="Ask a person", reason="AGENT_NOT_ADMITTED"
        )


def _need_first(gate: Gate, voice: Voice) -> None:
    if any(vote.actor and vote.actor.principal_id == voice.actor.principal_id for vote in gate.votes):
        raise Refused("you have voted on this gate", remedy="Another principal must", reason="ALREADY_VOTED")


def _outcome(gate: Gate, verdict: GateVerdict) -> GateStatus | None:
    if verdict == GateVerdict.REJECT:
        return GateStatus.REJECTED
    if verdict == GateVerdict.OVERRIDE:
        return GateStatus.OVERRIDDEN
    approvals = sum(vote.verdict == GateVerdict.APPROVE for vote in gate.votes)
    return GateStatus.APPROVED if approvals >= gate.quorum else None


def _next(gate: Gate) -> Gate:
    changed = deepcopy(gate)
    changed.version += 1
    return changed
