"""What a new run may take from the one before, instead of doing it again (`ameide change retry --from`).

The Domain offers what the earlier run had done before it last did the named step. The Process takes a result only where
it would ask for the very same (contracts.input_digest), and says so. Never taken again: a gate's decision, a merge, a
build, a publication, a deployment, and green by somebody who wrote code in the change.
"""

from __future__ import annotations

from collections.abc import Sequence

from ameide.contracts.input_digest import digest_of
from ameide.domain.decisions.claim_check import result_in_brief
from ameide.domain.decisions.verification import authors_of
from ameide.domain.decisions.work import Claim, is_agent_publish
from ameide.errors import InvalidArgument, Refused
from ameide_core_proto.transformation.governance.v1.governance_pb import ReusableWork, Run, RunInput
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    FailureCode,
    WorkKind,
    WorkRequest,
    WorkResult,
    WorkStatus,
)

# In the order of the course: steps whose results can be taken, and the one behind them.
STEPS = ("preflight", "scaffold", "generate", "coder", "verify")
ACCEPTANCE = "acceptance"
_TOOLS = {
    ActionKind.PREFLIGHT: "preflight",
    ActionKind.SCAFFOLD: "scaffold",
    ActionKind.GENERATE: "generate",
    ActionKind.VERIFY: "verify",
}
# Failures that are a result: the same bytes fail by them again. Green is never made of one.
_RESULTS = {"verify": FailureCode.VERIFICATION_FAILED, "coder": FailureCode.POLICY_VIOLATION}
# Bytes of all results together, within what one fact may carry.
_MOST = 32 * 1024


def activity_of(work: WorkRequest) -> str:
    """The step that a work does, if its result can be taken by a later run; else nothing."""
    if is_agent_publish(work):
        return "coder"
    return _TOOLS.get(work.action_kind, "") if work.work_kind == WorkKind.TOOL_RUN else ""


def record_digest(work: WorkRequest) -> None:
    """Note what the work of a run was asked for, so that a later run can tell whether it asks for the same."""
    if work.process_instance_id and activity_of(work):
        work.input_digest = digest_of(work)


def need_step(step: str) -> None:
    """Raises InvalidArgument for a step that no run can begin with."""
    if step not in (*STEPS, ACCEPTANCE):
        raise InvalidArgument(
            f"{step!r} is no step that a run can begin with",
            field="from_step",
            remedy=f"Name one of {', '.join((*STEPS, ACCEPTANCE))}; what follows acceptance is always done anew",
        )


def reusable(
    step: str, earlier: Run | None, policy: Policy, works: Sequence[WorkRequest], claims: Sequence[Claim]
) -> list[ReusableWork]:
    """What the run after `earlier` may take, oldest first; `works` and `claims` are those of the change.

    Raises InvalidArgument, Refused(NOTHING_TO_REUSE, STEP_NOT_REACHED).
    """
    need_step(step)
    if earlier is None:
        raise Refused(
            "the change has no earlier run to take anything from",
            field="from_step",
            remedy="Start it without a step to begin with",
            reason="NOTHING_TO_REUSE",
        )
    taken = list((earlier.input or RunInput()).reusable)
    own = [work for work in works if work.process_instance_id == earlier.process_instance_id and activity_of(work)]
    authors = authors_of(works, claims) if policy.independent_verification else frozenset[str]()
    before = _before(step, earlier, taken, own)
    made = [one if isinstance(one, ReusableWork) else _offer(one) for one in before if _is_result(one)]
    made = [one for one in made if one.activity != "verify" or one.executor_principal_id not in authors]
    newest = {(one.activity, one.input_digest): one for one in made}
    return _within(_MOST, [one for one in made if newest[one.activity, one.input_digest] is one])


def _before(
    step: str, earlier: Run, taken: Sequence[ReusableWork], own: Sequence[WorkRequest]
) -> Sequence[ReusableWork | WorkRequest]:
    """What came before the earlier run last did the step; what it took itself came first."""
    done: list[ReusableWork | WorkRequest] = [*taken, *own]
    names = [one.activity if isinstance(one, ReusableWork) else activity_of(one) for one in done]
    if step == ACCEPTANCE and any(
        name == "verify" and one.status == WorkStatus.SUCCEEDED for name, one in zip(names, done, strict=True)
    ):
        return done
    if step not in names:
        reached = ", ".join(name for name in STEPS if name in names) or "none"
        raise Refused(
            f"run {earlier.number} never came to {step}; it did {reached}",
            field="from_step",
            remedy="Name a step that it did, or leave it out to do everything anew",
            reason="STEP_NOT_REACHED",
        )
    return done[: len(names) - 1 - names[::-1].index(step)]


def _offer(work: WorkRequest) -> ReusableWork:
    return ReusableWork(
        activity=activity_of(work),
        work_request_id=work.work_request_id,
        process_instance_id=work.process_instance_id,
        input_digest=work.input_digest or digest_of(work),
        status=work.status,
        result=result_in_brief(work.result or WorkResult()),
        executor_principal_id=work.executor_principal_id,
    )


def _is_result(work: ReusableWork | WorkRequest) -> bool:
    if isinstance(work, ReusableWork) or work.status == WorkStatus.SUCCEEDED:
        return True
    failed = work.result.failure_code if work.result and work.status == WorkStatus.FAILED else FailureCode.UNSPECIFIED
    return failed != FailureCode.UNSPECIFIED and _RESULTS.get(activity_of(work)) == failed


def _within(most: int, offered: Sequence[ReusableWork]) -> list[ReusableWork]:
    """As many as fit, from the first on: without an early one the later ones would not be asked for."""
    kept: list[ReusableWork] = []
    for one in offered:
        most -= len(one.to_binary())
        if most < 0:
            break
        kept.append(one)
    return kept
