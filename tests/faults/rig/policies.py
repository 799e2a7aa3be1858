"""The repositories of the rig: each has a policy whose course leads past other commands."""

from __future__ import annotations

from ameide_core_proto.transformation.governance.v1.command_service_pb import RegisterRepositoryRequest
from ameide_core_proto.transformation.governance.v1.governance_pb import GitopsTarget
from ameide_core_proto.transformation.governance.v1.policy_pb import (
    Bounds,
    DeclaredRead,
    Environment,
    GateKind,
    GateRule,
    Policy,
)
from ameide_core_proto.transformation.work.v1.work_pb import TimeoutPolicy
from tests.faults.rig.steps import HOLDING, MOVING

PLAIN, RELEASING, GATED, EXPIRING = "plain", "releasing", "gated", "expiring"
NAMES = (PLAIN, RELEASING, GATED, EXPIRING, MOVING, HOLDING)
EXPIRES_AFTER = 1


def repository(name: str) -> RegisterRepositoryRequest:
    """`plain` runs to its merge by itself, `releasing` to its promotion, `gated` and `moving` wait for acceptance.

    Of `expiring` the acceptance gate expires, of `holding` the first coder works until it is stopped.
    """
    releasing = name == RELEASING
    return RegisterRepositoryRequest(
        client_request_id=f"register/{name}",
        name=name,
        url=f"file:///srv/{name}.git",
        default_branch="main",
        gitops=GitopsTarget(url="file:///srv/gitops.git", branch="main") if releasing else None,
        policy=policy(name),
    )


def policy(name: str) -> Policy:
    """People decide where the name says so; whatever is lost to a fault is tried again without end."""
    accepted = GateRule(
        kind=GateKind.ACCEPTANCE,
        required=True,
        decider_roles=["approver"],
        quorum=1,
        expires_after_seconds=EXPIRES_AFTER if name == EXPIRING else 0,
    )
    asked = [
        GateRule(kind=kind, required=True, decider_roles=["approver"], quorum=1)
        for kind in (GateKind.NEEDS_HUMAN, GateKind.BUDGET)
    ]
    return Policy(
        gates=[accepted, *asked] if name in (GATED, EXPIRING, MOVING) else asked,
        environments=[Environment(name="dev", image_ref_path="dev/values.yaml", smoke=True)]
        if name == RELEASING
        else [],
        bounds=Bounds(
            max_iterations=50,
            max_step_retries=20,
            max_merge_rounds=50,
            max_history_signals=500,
            lost_claim_retries=20,
            stuck_after_seconds=86400,
        ),
        tool_timeouts=TimeoutPolicy(claim_by_seconds=86400, run_for_seconds=300, silent_for_seconds=300),
        agent_timeouts=TimeoutPolicy(claim_by_seconds=86400, run_for_seconds=300, silent_for_seconds=300),
        declared_reads=[DeclaredRead(query="ListChanges", deadline_seconds=60)],
        coder="patches",
        independent_verification=True,
    )
