"""The policy that a repository starts with. Strict where bytes ship, silent where nothing is at stake."""

from __future__ import annotations

from ameide_core_proto.transformation.governance.v1.policy_pb import (
    Bounds,
    DeclaredRead,
    Environment,
    GateKind,
    GateRule,
    Policy,
)
from ameide_core_proto.transformation.work.v1.work_pb import PathRules, TimeoutPolicy

# What an agent may not write unless a policy says so (contracts 9).
DENIED_PATHS = (
    "ameide.yaml",
    ".github/**",
    ".gitlab-ci.yml",
    ".gitlab/**",
    ".circleci/**",
    "Jenkinsfile",
    "azure-pipelines.yml",
    "CODEOWNERS",
    "**/CODEOWNERS",
    "deploy/**",
    "helm/**",
    ".gitmodules",
)
ENVIRONMENTS = ("dev", "staging", "production")


def default_policy(repository_id: str, *, gitops: bool) -> Policy:
    """Gates on requirement, acceptance, release and production; five iterations; no budget limit."""
    approver, releaser, operator = ["approver"], ["releaser"], ["approver", "operator"]
    rules = [
        (GateKind.REQUIREMENT_STABILIZED, True, approver),
        (GateKind.ACCEPTANCE, True, approver),
        (GateKind.READY_TO_RELEASE, True, releaser),
        (GateKind.PROMOTION, True, releaser),
        (GateKind.NEEDS_HUMAN, True, operator),
        (GateKind.BUDGET, True, operator),
    ]
    return Policy(
        repository_id=repository_id,
        gates=[GateRule(kind=kind, required=need, decider_roles=roles, quorum=1) for kind, need, roles in rules],
        paths=PathRules(denied=list(DENIED_PATHS)),
        environments=[
            Environment(
                name=name,
                image_ref_path=f"environments/{name}/values.yaml",
                gate_required=name != ENVIRONMENTS[0],
                smoke=True,
            )
            for name in ENVIRONMENTS
        ]
        if gitops
        else [],
        bounds=Bounds(
            max_iterations=5,
            max_step_retries=3,
            max_merge_rounds=5,
            max_history_signals=500,
            lost_claim_retries=2,
            stuck_after_seconds=86400,
        ),
        tool_timeouts=TimeoutPolicy(claim_by_seconds=86400, run_for_seconds=1800, silent_for_seconds=900),
        agent_timeouts=TimeoutPolicy(claim_by_seconds=86400, run_for_seconds=3600, silent_for_seconds=900),
        declared_reads=[DeclaredRead(query=query, deadline_seconds=5) for query in ("GetChange", "ListChanges")],
        coder="patches",
        independent_verification=True,
        separate_releaser=True,
    )
