"""What Codex says when it fails, and what follows from it. Its messages are text only; these are those of 0.163."""

from __future__ import annotations

import re
from enum import Enum

from ameide.infra.steps import StepFailed
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode, Finding, FindingClass, WhereToFix


class Trouble(Enum):
    """What kind of trouble a message tells of."""

    CREDENTIALS = "credentials"
    QUOTA = "quota"
    BUSY = "busy"
    OTHER = "other"


_CREDENTIALS = re.compile(
    r"status 40[13]\b|\b401 Unauthorized|log ?in again|sign in again|codex login|refresh token|token (?:has )?expired"
    r"|Missing environment variable|not logged in",
    re.IGNORECASE,
)
_QUOTA = re.compile(r"quota|usage limit|billing|purchase more credits|out of credits", re.IGNORECASE)
_BUSY = re.compile(
    r"\b429\b|\b5\d\d\b|high demand|overloaded|at capacity|rate limit|stream (?:disconnected|closed|error)|timed? ?out"
    r"|error sending request|connection|reconnecting|retry limit",
    re.IGNORECASE,
)


def trouble_of(message: str) -> Trouble:
    """What kind a message is of. A spent quota is a 429 like a limited rate, but waiting does not mend it."""
    if "is not reached from here" in message:
        # The sandbox's own proxy said so, not the model.
        return Trouble.OTHER
    for pattern, kind in ((_CREDENTIALS, Trouble.CREDENTIALS), (_QUOTA, Trouble.QUOTA), (_BUSY, Trouble.BUSY)):
        if pattern.search(message):
            return kind
    return Trouble.OTHER


def refused_by_model(message: str, endpoint: str) -> StepFailed:
    """The credentials were taken nowhere."""
    return StepFailed(
        FailureCode.MISSING_CREDENTIALS,
        f"codex: {endpoint} does not take these credentials: {message}. Put a valid auth.json into CODEX_HOME (`codex "
        f"login`), or correct the provider's key; then approve the gate. docs/how-to/codex.md tells how.",
    )


def quota_spent(message: str) -> StepFailed:
    """Waiting minutes would not help."""
    return StepFailed(
        FailureCode.TOOL_FAILED,
        f"codex: the account at the model's provider is spent: {message}. Raise its limit or wait until it is renewed, "
        f"then approve the gate.",
    )


def still_busy(message: str, endpoint: str, seconds: float) -> StepFailed:
    """The same step may be tried again later."""
    return StepFailed(
        FailureCode.TIMEOUT,
        f"codex: the model at {endpoint} did not answer for {seconds:.0f} s: {message}. AMEIDE_CODEX_WAIT_SECONDS says "
        f"how long an attempt waits.",
    )


def failed(message: str, exit_code: int) -> StepFailed:
    """Anything else."""
    return StepFailed(
        FailureCode.TOOL_FAILED,
        f"codex: {message}. Look at codex-events.jsonl and work.log in the evidence; model and provider are set in "
        f"CODEX_HOME/config.toml.",
        exit_code=exit_code or 1,
    )


def did_nothing(message: str) -> StepFailed:
    """An agent that ended well without having done anything, as after a refusal."""
    what = "Codex ran no command and changed no file."
    said = f" It said: {message[:800]}" if message.strip() else " It said nothing."
    return StepFailed(FailureCode.TOOL_FAILED, what + said, findings=[_suspected("nothing_done", what + said)])


def stuck(action: str, times: int) -> StepFailed:
    """The agent was ended because it went round in circles."""
    what = f"The agent did the same {times} times with the same result: {action[:600]}"
    return StepFailed(
        FailureCode.TOOL_FAILED,
        f"{what}. It was ended; say what it misses, or let it go on (AMEIDE_REPEATS bounds this).",
        findings=[_suspected("repeated_action", what)],
    )


def budget_spent(spent: str) -> StepFailed:
    """The work's own budget."""
    return StepFailed(FailureCode.BUDGET_EXHAUSTED, f"budget: {spent}; the agent was ended.")


def no_sandbox(said: str) -> StepFailed:
    """Codex itself goes on without a word when its sandbox cannot start: every command fails, and it exits with 0."""
    return StepFailed(
        FailureCode.SANDBOX_UNAVAILABLE,
        f"codex: the sandbox of the agent's commands does not hold or does not start: {said.strip()[-600:]}. It needs "
        f"unprivileged user namespaces (kernel.unprivileged_userns_clone, user.max_user_namespaces, AppArmor).",
    )


def _suspected(identity: str, what: str) -> Finding:
    return Finding(
        class_=FindingClass.GUARDRAIL_BUG_SUSPECTED,
        id=identity,
        what_failed=what[:2000],
        why_it_matters="An attempt without progress costs tokens and time.",
        where_to_fix=WhereToFix.GUARDRAIL,
    )
