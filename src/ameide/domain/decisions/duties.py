"""Separation of duties: who has a hand in a change does not decide on it, in whichever run they had it.

A principal is one person or one program, however many tokens it has. What a program does for a person, both have done.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ameide.domain.decisions.verification import authors_of
from ameide.domain.decisions.work import Claim
from ameide.errors import PermissionDenied
from ameide_core_proto.common.v1.metadata_pb import Actor
from ameide_core_proto.transformation.governance.v1.governance_pb import Change, Gate, GateStatus, GateVerdict, Run
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind, GateRule, Policy
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact
from ameide_core_proto.transformation.work.v1.work_pb import WorkRequest

_RELEASING = (GateKind.READY_TO_RELEASE, GateKind.PROMOTION)
_PASSED = (GateStatus.APPROVED, GateStatus.OVERRIDDEN)
_FOR_IT = (GateVerdict.APPROVE, GateVerdict.OVERRIDE)


@dataclass(frozen=True, slots=True)
class Hands:
    """Principals by what they have done for a change."""

    # Asked for it, started the run, wrote the requirement.
    wanted: frozenset[str] = frozenset()
    # Ran the coder, in whichever run.
    coded: frozenset[str] = frozenset()
    # Accepted the result in this run.
    accepted: frozenset[str] = frozenset()


def hands(
    change: Change,
    run: Run,
    requirement: Artifact | None,
    gates: Iterable[Gate],
    works: Sequence[WorkRequest],
    claims: Sequence[Claim],
) -> Hands:
    """Who did what: `gates` are the run's, `works` and `claims` the coder's of the change."""
    current = requirement.current if requirement else None
    wanted = (change.requester, run.requested_by, current.author if current else None)
    accepted = [
        vote.actor
        for gate in gates
        if gate.kind == GateKind.ACCEPTANCE and gate.status in _PASSED
        for vote in gate.votes
        if vote.verdict in _FOR_IT
    ]
    return Hands(_names(wanted), authors_of(works, claims), _names(accepted))


def need_apart(kind: GateKind, rule: GateRule, policy: Policy, principal_id: str, done: Hands) -> None:
    """Raises PermissionDenied(SELF_APPROVAL, ACCEPTED_BEFORE) for who has a hand in what the gate is about.

    The policy may let who wants a change decide on it; whoever wrote its code never does.
    """
    if principal_id in done.coded:
        raise PermissionDenied(
            f"{principal_id} ran the coder in this change and may not decide on it",
            remedy="Ask a principal whose executors write no code",
            reason="SELF_APPROVAL",
        )
    if principal_id in done.wanted and not rule.requester_may_decide:
        raise PermissionDenied(
            "who asked for the change, started this run or wrote its requirement may not decide on it",
            remedy="Ask a second principal",
            reason="SELF_APPROVAL",
        )
    if kind in _RELEASING and policy.separate_releaser and principal_id in done.accepted:
        raise PermissionDenied(
            f"{principal_id} accepted the change in this run and may not release it, too",
            remedy="Ask another releaser; `separate_releaser` in the policy says so",
            reason="ACCEPTED_BEFORE",
        )


def _names(actors: Iterable[Actor | None]) -> frozenset[str]:
    """An agent that acts for a person is both: neither decides on what they did together."""
    named = [actor for actor in actors if actor is not None]
    return frozenset({actor.principal_id for actor in named} | {actor.on_behalf_of for actor in named}) - {""}
