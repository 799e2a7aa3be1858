"""What a push that failed means: a rule of the remote, a credential without the right, or a fault that may pass."""

from __future__ import annotations

from ameide.infra.git import GitFailed, PushRefused
from ameide.infra.steps import StepFailed
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode, Finding, FindingClass, WhereToFix

_NO_RIGHT = ("authentication failed", "permission denied", "could not read username", "error: 403")


def push_failed(error: GitFailed, branch: str) -> StepFailed:
    """The step's failure. Only what may pass by itself is such that the same step is tried again."""
    check = "`ameide repo check` tests the right to push."
    if isinstance(error, PushRefused):
        finding = Finding(
            class_=FindingClass.POLICY_VIOLATION,
            id=f"push_refused:{branch}"[:512],
            what_failed=str(error)[:2000],
            why_it_matters="A rule of the remote stands against the push; trying again changes nothing.",
            where_to_fix=WhereToFix.OPS,
            fix_steps=[
                f"Let the credential's user push to {branch}: have the branch's protection admit it.",
                "Then approve, and the same step is done again.",
            ],
        )
        return StepFailed(
            FailureCode.TOOL_FAILED, f"The remote refuses a push to {branch}: {error}", findings=[finding]
        )
    if any(words in str(error).lower() for words in _NO_RIGHT):
        return StepFailed(
            FailureCode.MISSING_CREDENTIALS, f"credential_ref: it may not push to {branch}: {error}. {check}"
        )
    return StepFailed(FailureCode.CHECKOUT_FAILED, f"repo_url: {error}. {check}")
