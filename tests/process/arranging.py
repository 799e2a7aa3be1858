"""What scenarios are made of: what is arranged before a run, what happens meanwhile, what must hold afterwards."""

from collections.abc import Awaitable, Callable
from copy import deepcopy
from dataclasses import dataclass

from ameide_core_proto.transformation.governance.v1.facts_pb import RunClosed
from ameide_core_proto.transformation.governance.v1.governance_pb import GateStatus, RunStatus
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import ArtifactStatus
from ameide_core_proto.transformation.work.v1.work_pb import (
    FailureCode,
    Finding,
    FindingClass,
    WorkResult,
)
from tests.process.script import (
    VOID,
    Outcome,
    Script,
    Verdict,
    diff,
    done,
    failed,
    sha,
)

TO_GREEN = ["preflight", "scaffold", "generate", "coder", "verify"]
TO_MERGE = [*TO_GREEN, "merge_prepare", "merge_push"]
TO_RELEASE = [*TO_MERGE, "build", "publish"]
DELIVERED = [*TO_RELEASE, "deploy", "smoke", "deploy", "smoke"]

Arrange = Callable[[Script], None]
Check = Callable[[Script], None]
Meanwhile = Callable[[Script], Awaitable[None]]


@dataclass
class Scenario:
    """`arrange` writes the script, `meanwhile` plays what happens beside it, `check` reads what came of it."""

    outcome: str
    status: RunStatus
    arrange: Arrange
    check: Check
    meanwhile: Meanwhile | None = None
    gitops: bool = True
    recorded: bool = True


def nothing(script: Script) -> None:
    """All is well."""


def works(*steps: str) -> Check:
    """The delegated steps were exactly these."""

    def check(script: Script) -> None:
        assert script.steps == list(steps)

    return check


def gates(*kinds: GateKind) -> Check:
    """The gates were exactly these."""

    def check(script: Script) -> None:
        assert script.gate_kinds == [kind.name for kind in kinds]

    return check


def both(*checks: Check) -> Check:
    """All of them."""

    def check(script: Script) -> None:
        for one in checks:
            one(script)

    return check


def on(kind: GateKind, *verdicts: Verdict) -> Arrange:
    """The people's answers to a kind of gate, in turn."""

    def arrange(script: Script) -> None:
        script.gates[kind] = list(verdicts)

    return arrange


def at(step: str, *outcomes: Outcome) -> Arrange:
    """The outcomes of a step, in turn."""

    def arrange(script: Script) -> None:
        script.works[step] = list(outcomes)

    return arrange


REQ, ACC, READY = GateKind.REQUIREMENT_STABILIZED, GateKind.ACCEPTANCE, GateKind.READY_TO_RELEASE
PROMO, HUMAN, BUDGET = GateKind.PROMOTION, GateKind.NEEDS_HUMAN, GateKind.BUDGET
CONFLICT = Finding(class_=FindingClass.MERGE_CONFLICT, id="src/orders.py")
MOVED = Finding(class_=FindingClass.MERGE_CONFLICT, id="main_moved")
WEAKENED = Finding(class_=FindingClass.POLICY_VIOLATION, id="tests/test_orders.py::test_cancel")
UNHEALTHY = failed(FailureCode.VERIFICATION_FAILED)


def candidate(name: str, patch: str) -> Outcome:
    """A merge candidate that is not the head."""
    return done(commit_sha=sha(name), base_sha=sha(f"main of {name}"), diff_hash=diff(patch), branch="agent/candidate")


async def awaits_new_version(script: Script) -> None:
    await script.reached(
        lambda: any(getattr(fact, "what", "") == "new_version" for fact in script.facts_named("awaiting"))
    )


async def revise_after_rejection(script: Script) -> None:
    await script.reached(lambda: bool(script.opened) and script.opened[0].status == GateStatus.REJECTED)
    await script.submit_version(2)


async def revise_when_outdated(script: Script) -> None:
    await awaits_new_version(script)
    await script.submit_version(2)


async def cancel_after_rejection(script: Script) -> None:
    await awaits_new_version(script)
    await script.cancel_change()


def cancel_at_gate(kind: GateKind) -> Meanwhile:
    async def meanwhile(script: Script) -> None:
        await script.reached(lambda: kind in script.waiting)
        await script.cancel_change()

    return meanwhile


async def cancel_held_work(script: Script) -> None:
    await script.reached(lambda: bool(script.held))
    await script.request_cancel()


async def close_from_outside(script: Script) -> None:
    """An admin closes the run; its process did not ask for it."""
    await script.reached(lambda: ACC in script.waiting)
    script.run.status, script.run.outcome, script.run.version = FAILED, "failed", script.run.version + 1
    await script.state(RunClosed(run=deepcopy(script.run)), "run", script.pid, script.run.version)


async def revise_while_coding(script: Script) -> None:
    """The requirement's approved gate is voided by a revision while the coder works."""
    await script.reached(lambda: bool(script.held))
    await script.settle_gate(script.opened[0], VOID)
    await script.submit_version(2)


async def push_gets_through(script: Script) -> None:
    """Acceptance is voided too late: the push happens all the same."""
    await script.reached(lambda: bool(script.held))
    gate = next(gate for gate in script.opened if gate.kind == ACC)
    (work,) = script.held.values()
    work.dispatch = -1
    await script.settle_gate(gate, VOID)
    await script.reached(lambda: any(name == "cancel_work" for name, _ in script.commands))
    await script.end_work(work, done(commit_sha=sha("coder1")))


def approved_already(script: Script) -> None:
    assert script.artifact.current is not None
    script.artifact.current.status = ArtifactStatus.APPROVED


def no_gates(script: Script) -> None:
    script.policy.gates = []
    for environment in script.policy.environments:
        environment.gate_required = False


def green_with_findings(script: Script) -> None:
    no_gates(script)
    script.works["verify"] = [Outcome(result=WorkResult(findings=[WEAKENED]))]
    script.gates[ACC] = [Verdict(GateStatus.OVERRIDDEN, "known")]


def coder_did_more(script: Script) -> None:
    """Green and ungated, and the coder's own work carries a finding, such as a refused connection."""
    no_gates(script)
    script.works["coder"] = [Outcome(result=WorkResult(findings=[WEAKENED]))]
    script.gates[ACC] = [Verdict(GateStatus.OVERRIDDEN, "known")]


def push_wants_a_gate(script: Script) -> None:
    """Policy asks for no acceptance, the Domain does."""
    no_gates(script)
    script.refused_steps["merge_push"] = ["GATE_REQUIRED"]


def shown(script: Script) -> None:
    assert [gate.kind for gate in script.opened] == [ACC]
    subject = script.opened[0].subject
    assert subject is not None
    assert [finding.id for finding in subject.findings] == [WEAKENED.id]


def used_up(script: Script) -> None:
    """The same test id in every iteration, and at the gate."""
    assert script.steps.count("coder") == 3
    assert [order.inputs.iteration for order in script.orders("coder") if order.inputs] == [1, 2, 3]
    assert [finding.id for order in script.orders("coder")[1:] for finding in order.inputs.findings] == ["t::a", "t::a"]  # pyright: ignore[reportOptionalMemberAccess]
    (human,) = [gate for gate in script.opened if gate.kind == HUMAN]
    assert human.subject is not None
    assert [finding.id for finding in human.subject.findings] == ["t::a"]
    assert "merge_push" not in script.steps


def one_more(script: Script) -> None:
    assert script.steps.count("coder") == 4
    assert script.orders("coder")[3].inputs.iteration == 4  # pyright: ignore[reportOptionalMemberAccess]


def another_patch_accepted(script: Script) -> None:
    """The candidate with another patch is verified and accepted as itself, then pushed without another round."""
    assert script.steps[: len(TO_GREEN) + 3] == [*TO_GREEN, "merge_prepare", "verify", "merge_push"]
    first, second = [gate for gate in script.opened if gate.kind == ACC]
    assert first.status == GateStatus.VOIDED
    assert second.subject is not None
    assert second.subject.commit_sha == script.orders("verify")[1].commit_sha == sha("candidate")
    push = script.orders("merge_push")[0]
    assert push.gate_pass is not None
    assert push.gate_pass.gate_id == second.gate_id
    assert push.inputs is not None
    assert push.inputs.candidate_sha == sha("candidate")
    assert push.inputs.expected_main_sha == sha("main of candidate")


def review_reaches_coder(script: Script) -> None:
    assert script.steps[:7] == [*TO_GREEN, "coder", "verify"]
    second = script.orders("coder")[1].inputs
    assert second is not None
    assert [finding.what_failed for finding in second.findings] == ["name it better"]


def main_moves_once(script: Script) -> None:
    assert script.steps[5:] == [
        "merge_prepare", "merge_push", "merge_prepare", "verify", "merge_push", *DELIVERED[len(TO_MERGE) :]
    ]  # fmt: skip
    assert script.orders("verify")[1].commit_sha == sha("again")
    pushed = [order.inputs.candidate_sha for order in script.orders("merge_push") if order.inputs]
    assert pushed[1] == sha("again")
    branches = [order.inputs.branch for order in script.orders("merge_prepare") if order.inputs]
    assert branches == [f"agent/candidate/{script.change_id}/1/{n}" for n in (1, 2)]


def repository_red(script: Script) -> None:
    assert "coder" not in script.steps
    assert script.opened[-1].subject is not None
    assert "blocked_by_repo_health" in script.opened[-1].subject.reason


def refused(command: str, reason: str, times: int = 1) -> Arrange:
    def arrange(script: Script) -> None:
        script.refusals[command] = [reason] * times

    return arrange


def never_closed_itself(script: Script) -> None:
    assert "close_run" not in [name for name, _ in script.commands]


def stuck(outcome: Outcome) -> Arrange:
    def arrange(script: Script) -> None:
        assert script.policy.bounds is not None
        script.policy.bounds.stuck_after_seconds = 1
        script.works["coder"] = [outcome]

    return arrange


def asked_about_stuck(script: Script) -> None:
    assert [name for name, _ in script.commands].count("cancel_work") == 1
    assert [gate.kind for gate in script.opened if gate.kind == HUMAN] == [HUMAN]
    assert script.steps.count("coder") == 2


def everything_thrice(script: Script) -> None:
    script.copies = 3
    script.reordered = True
    script.early = True
    assert script.policy.bounds is not None
    # Fewer signals than two steps bring: Continue-As-New again and again.
    script.policy.bounds.max_history_signals = 10


def each_once(script: Script) -> None:
    assert script.steps == DELIVERED
    assert script.gate_kinds == [REQ.name, ACC.name, READY.name, PROMO.name]
    epochs = {epoch for epoch, _ in script.process_facts}
    assert len(epochs) > 5
    for epoch in epochs:
        places = sorted(seq for of, seq in script.process_facts if of == epoch)
        assert places == list(range(1, len(places) + 1))
    assert len(script.facts_named("process_instance_started")) == 1
    assert len(script.facts_named("gate_decision_recorded")) == 4


def merged_by_others(script: Script) -> None:
    script.works["deploy"] = [done(pr_url="http://forge/1", gitops_commit_sha=sha("pr"), merged=False)]
    script.policy.environments = script.policy.environments[:1]


DONE, FAILED, CANCELED = RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELED
