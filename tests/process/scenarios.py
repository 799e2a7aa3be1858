"""Runs told as scripts, one for each way a gate, a work or a cancellation can go; played by the tests and recorded."""

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
    Outputs,
    WorkResult,
)
from tests.process.scripted_domain import (
    BASE,
    EXPIRE,
    HOLD,
    VOID,
    WAIT,
    Outcome,
    Script,
    Verdict,
    approve,
    diff,
    done,
    failed,
    red,
    reject,
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


def canceled_work(script: Script) -> None:
    assert [name for name, _ in script.commands if name == "cancel_work"] == ["cancel_work"]
    assert script.opened[-1].kind != HUMAN


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
_HELD_STEPS = ("preflight", "coder", "verify", "merge_push", "publish", "deploy")

SCENARIOS: dict[str, Scenario] = {
    # Every gate approved, or not asked for.
    "delivered": Scenario("delivered", DONE, nothing, both(works(*DELIVERED), gates(REQ, ACC, READY, PROMO))),
    "merged": Scenario("merged", DONE, nothing, both(works(*TO_MERGE), gates(REQ, ACC)), gitops=False),
    "approved_already": Scenario(
        "merged", DONE, approved_already, both(works(*TO_MERGE), gates(ACC)), gitops=False, recorded=False
    ),
    "no_gates": Scenario("delivered", DONE, no_gates, both(works(*DELIVERED), gates())),
    "green_with_findings": Scenario("merged", DONE, green_with_findings, shown, gitops=False),
    # REQUIREMENT_STABILIZED
    "requirement_rejected_then_revised": Scenario(
        "merged", DONE, on(REQ, reject()), gates(REQ, REQ, ACC), revise_after_rejection, gitops=False
    ),
    "requirement_rejected": Scenario(
        "requirement_rejected", CANCELED, on(REQ, reject()), both(works(), gates(REQ)), cancel_after_rejection
    ),
    "requirement_expired": Scenario(
        "requirement_rejected", CANCELED, on(REQ, EXPIRE), both(works(), gates(REQ)), cancel_after_rejection
    ),
    "requirement_voided": Scenario(
        "merged", DONE, at("coder", HOLD), gates(REQ, REQ, ACC), revise_while_coding, gitops=False
    ),
    # NEEDS_HUMAN
    "needs_human_rejected": Scenario(
        "needs_human_rejected",
        FAILED,
        both(at("verify", red("t::a"), red("t::a"), red("t::a")), on(HUMAN, reject())),
        used_up,
    ),
    "needs_human_approved": Scenario(
        "merged",
        DONE,
        both(at("verify", red("t::a"), red("t::a"), red("t::a")), on(HUMAN, approve(2))),
        one_more,
        gitops=False,
    ),
    "needs_human_expired": Scenario(
        "needs_human_rejected",
        FAILED,
        both(at("coder", failed(FailureCode.MISSING_CREDENTIALS)), on(HUMAN, EXPIRE)),
        works("preflight", "scaffold", "generate", "coder"),
    ),
    "needs_human_voided": Scenario(
        "needs_human_rejected",
        FAILED,
        both(at("coder", failed(FailureCode.MISSING_CREDENTIALS)), on(HUMAN, VOID, reject())),
        gates(REQ, HUMAN, HUMAN),
        recorded=False,
    ),
    "red_repository": Scenario(
        "needs_human_rejected",
        FAILED,
        both(
            at("preflight", failed(FailureCode.VERIFICATION_FAILED, outputs=Outputs(commit_sha=BASE))),
            on(HUMAN, reject()),
        ),
        repository_red,
    ),
    "red_repository_accepted": Scenario(
        "merged",
        DONE,
        at("preflight", failed(FailureCode.VERIFICATION_FAILED, outputs=Outputs(commit_sha=BASE))),
        both(works(*TO_MERGE), gates(REQ, HUMAN, ACC)),
        gitops=False,
        recorded=False,
    ),
    # ACCEPTANCE
    "acceptance_rejected": Scenario("delivered", DONE, on(ACC, reject("name it better")), review_reaches_coder),
    "acceptance_expired": Scenario(
        "merged", DONE, on(ACC, EXPIRE), both(works(*TO_MERGE), gates(REQ, ACC, HUMAN, ACC)), gitops=False
    ),
    "acceptance_voided": Scenario(
        "merged", DONE, on(ACC, VOID), both(works(*TO_MERGE), gates(REQ, ACC, ACC)), gitops=False
    ),
    "push_gets_through": Scenario(
        "merged", DONE, at("merge_push", HOLD), both(works(*TO_MERGE), gates(REQ, ACC)), push_gets_through, gitops=False
    ),
    # Merge
    "conflict": Scenario(
        "merged",
        DONE,
        at("merge_prepare", failed(FailureCode.CONFLICT, CONFLICT)),
        works(*TO_GREEN, "merge_prepare", "coder", "verify", "merge_prepare", "merge_push"),
        gitops=False,
    ),
    "main_moved": Scenario(
        "delivered",
        DONE,
        both(
            at("merge_push", failed(FailureCode.CONFLICT, MOVED)),
            at(
                "merge_prepare",
                done(commit_sha=sha("coder1"), base_sha=BASE, diff_hash=diff("coder1")),
                candidate("again", "coder1"),
            ),
        ),
        main_moves_once,
    ),
    "main_keeps_moving": Scenario(
        "needs_human_rejected",
        FAILED,
        both(
            at("merge_push", failed(FailureCode.CONFLICT, MOVED), failed(FailureCode.CONFLICT, MOVED)),
            on(HUMAN, reject()),
        ),
        both(works(*TO_MERGE, "merge_prepare", "merge_push"), gates(REQ, ACC, HUMAN)),
    ),
    "another_patch": Scenario(
        "merged",
        DONE,
        at("merge_prepare", candidate("candidate", "another")),
        another_patch_accepted,
        gitops=False,
    ),
    "candidate_red": Scenario(
        "merged",
        DONE,
        both(at("merge_prepare", candidate("candidate", "coder1")), at("verify", Outcome(), red("t::b"))),
        works(*TO_GREEN, "merge_prepare", "verify", "coder", "verify", "merge_prepare", "merge_push"),
        gitops=False,
        recorded=False,
    ),
    # READY_TO_RELEASE, PROMOTION
    "release_rejected": Scenario("merged_not_released", DONE, on(READY, reject()), works(*TO_MERGE)),
    "release_expired": Scenario("merged_not_released", DONE, on(READY, EXPIRE), works(*TO_MERGE), recorded=False),
    "release_voided": Scenario("delivered", DONE, on(READY, VOID), gates(REQ, ACC, READY, READY, PROMO)),
    "promotion_rejected": Scenario(
        "partially_delivered", DONE, on(PROMO, reject()), works(*TO_RELEASE, "deploy", "smoke")
    ),
    "promotion_expired": Scenario(
        "partially_delivered", DONE, on(PROMO, EXPIRE), works(*TO_RELEASE, "deploy", "smoke"), recorded=False
    ),
    "promotion_voided": Scenario("delivered", DONE, on(PROMO, VOID), gates(REQ, ACC, READY, PROMO, PROMO)),
    "unhealthy": Scenario(
        "needs_human_rejected",
        FAILED,
        both(at("smoke", UNHEALTHY), on(HUMAN, reject())),
        works(*TO_RELEASE, "deploy", "smoke"),
    ),
    "unhealthy_looked_at_again": Scenario(
        "delivered",
        DONE,
        at("smoke", UNHEALTHY),
        works(*TO_RELEASE, "deploy", "smoke", "smoke", "deploy", "smoke"),
        recorded=False,
    ),
    # BUDGET
    "budget_granted": Scenario(
        "merged",
        DONE,
        refused("request_work", "BUDGET_EXHAUSTED"),
        both(works(*TO_MERGE), gates(REQ, BUDGET, ACC)),
        gitops=False,
    ),
    "budget_rejected": Scenario(
        "failed",
        FAILED,
        both(at("coder", failed(FailureCode.BUDGET_EXHAUSTED)), on(BUDGET, reject())),
        gates(REQ, BUDGET),
    ),
    "command_refused": Scenario(
        "merged",
        DONE,
        refused("request_work", "SOME_RULE"),
        both(works(*TO_MERGE), gates(REQ, HUMAN, ACC)),
        gitops=False,
        recorded=False,
    ),
    "requirement_outdated": Scenario(
        "merged",
        DONE,
        refused("open_gate", "SUBJECT_CHANGED"),
        both(works(*TO_MERGE), gates(REQ, ACC)),
        revise_when_outdated,
        gitops=False,
        recorded=False,
    ),
    "refused_because_canceled": Scenario(
        "canceled", CANCELED, refused("open_gate", "RUN_CANCELED"), both(works(), gates()), recorded=False
    ),
    "push_refused_for_its_gate": Scenario(
        "merged", DONE, push_wants_a_gate, both(works(*TO_MERGE), gates(ACC)), gitops=False, recorded=False
    ),
    # Faults of infrastructure, a work that says nothing
    "lease_lost": Scenario(
        "merged",
        DONE,
        at("coder", failed(FailureCode.LEASE_LOST), failed(FailureCode.TIMEOUT)),
        works("preflight", "scaffold", "generate", "coder", "coder", "coder", "verify", "merge_prepare", "merge_push"),
        gitops=False,
    ),
    "lease_lost_too_often": Scenario(
        "needs_human_rejected",
        FAILED,
        both(at("coder", *[failed(FailureCode.LEASE_LOST)] * 3), on(HUMAN, reject())),
        both(works("preflight", "scaffold", "generate", "coder", "coder", "coder"), gates(REQ, HUMAN)),
        recorded=False,
    ),
    "stuck_work_canceled": Scenario("merged", DONE, stuck(HOLD), asked_about_stuck, gitops=False),
    "stuck_work_deaf": Scenario(
        "merged", DONE, stuck(Outcome(hold=True, deaf=True)), asked_about_stuck, gitops=False, recorded=False
    ),
    # Cancel
    "canceled_at_requirement": Scenario("canceled", CANCELED, on(REQ, WAIT), gates(REQ), cancel_at_gate(REQ)),
    "canceled_at_acceptance": Scenario(
        "canceled", CANCELED, on(ACC, WAIT), works(*TO_GREEN), cancel_at_gate(ACC), recorded=False
    ),
    "canceled_at_release": Scenario(
        "canceled", CANCELED, on(READY, WAIT), works(*TO_MERGE), cancel_at_gate(READY), recorded=False
    ),
    "canceled_at_promotion": Scenario(
        "canceled",
        CANCELED,
        on(PROMO, WAIT),
        works(*TO_RELEASE, "deploy", "smoke"),
        cancel_at_gate(PROMO),
        recorded=False,
    ),
    **{
        f"canceled_during_{step}": Scenario(
            "canceled", CANCELED, at(step, HOLD), canceled_work, cancel_held_work, recorded=step == "coder"
        )
        for step in _HELD_STEPS
    },
    "closed_from_outside": Scenario(
        "failed", FAILED, on(ACC, WAIT), never_closed_itself, close_from_outside, recorded=False
    ),
    # At least once, in any order, through many histories
    "everything_thrice": Scenario("delivered", DONE, everything_thrice, each_once),
}
