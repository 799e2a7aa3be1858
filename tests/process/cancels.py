"""Cancel in every phase: what is open ends, what is asked is taken back, the run is closed once."""

from ameide_core_proto.transformation.governance.v1.governance_pb import GateStatus
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode, WorkStatus
from tests.process.arranging import (
    ACC,
    BUDGET,
    CANCELED,
    HUMAN,
    PROMO,
    READY,
    REQ,
    Arrange,
    Meanwhile,
    Scenario,
    at,
    both,
    cancel_at_gate,
    cancel_held_work,
    nothing,
    on,
    refused,
)
from tests.process.script import HOLD, WAIT, Script, done, failed, sha

# What a run may wait for an executor for, in the order of its phases.
_HELD = (
    *("preflight", "scaffold", "generate", "coder", "verify"),
    *("merge_prepare", "merge_push", "build", "publish", "deploy", "smoke"),
)
_RECORDED = ("build", "smoke")


async def cancel_at_once(script: Script) -> None:
    await script.request_cancel()


async def cancel_while_it_is_merged(script: Script) -> None:
    """The deployment waits for somebody to merge its pull request."""
    await script.reached(
        lambda: any(getattr(fact, "what", "") == "promotion" for fact in script.facts_named("awaiting"))
    )
    await script.request_cancel()


def ended(script: Script) -> None:
    """Nothing is left open, and the end was said once."""
    names = [name for name, _ in script.commands]
    assert names.count("close_run") == 1
    assert len(script.facts_named("process_instance_canceled")) == 1
    assert not script.held
    assert len(script.ended) == len(script.requested)
    assert not [gate.gate_id for gate in script.opened if gate.status == GateStatus.OPEN]
    assert names.count("cancel_work") == list(script.ended.values()).count(WorkStatus.CANCELED)


def _at_gate(kind: GateKind, arrange: Arrange = nothing) -> Scenario:
    return _scenario(both(arrange, on(kind, WAIT)), cancel_at_gate(kind))


def _scenario(arrange: Arrange, meanwhile: Meanwhile, *, recorded: bool = False) -> Scenario:
    return Scenario("canceled", CANCELED, arrange, ended, meanwhile, recorded=recorded)


CANCELS: dict[str, Scenario] = {
    "canceled_at_intake": _scenario(nothing, cancel_at_once),
    "canceled_at_requirement": Scenario("canceled", CANCELED, on(REQ, WAIT), ended, cancel_at_gate(REQ)),
    "canceled_at_needs_human": _at_gate(HUMAN, at("coder", failed(FailureCode.MISSING_CREDENTIALS))),
    "canceled_at_budget": _at_gate(BUDGET, refused("request_work", "BUDGET_EXHAUSTED")),
    "canceled_at_acceptance": _at_gate(ACC),
    "canceled_at_release": _at_gate(READY),
    "canceled_at_promotion": _at_gate(PROMO),
    "canceled_at_rollout": _scenario(
        at("deploy", done(pr_url="http://forge/1", gitops_commit_sha=sha("pr"), merged=False)),
        cancel_while_it_is_merged,
        recorded=True,
    ),
    **{
        f"canceled_during_{step}": _scenario(at(step, HOLD), cancel_held_work, recorded=step in (*_RECORDED, "coder"))
        for step in _HELD
    },
}
