"""Runs told as scripts, one for each way a gate, a work or a cancellation can go; played by the tests and recorded."""

from ameide_core_proto.transformation.work.v1.work_pb import (
    FailureCode,
    Outputs,
)
from tests.process.arranging import (
    ACC,
    BUDGET,
    CANCELED,
    CONFLICT,
    DELIVERED,
    DONE,
    FAILED,
    HUMAN,
    MOVED,
    PROMO,
    READY,
    REQ,
    TO_GREEN,
    TO_MERGE,
    TO_RELEASE,
    UNHEALTHY,
    Scenario,
    another_patch_accepted,
    approved_already,
    asked_about_stuck,
    at,
    both,
    cancel_after_rejection,
    candidate,
    close_from_outside,
    coder_did_more,
    each_once,
    everything_thrice,
    gates,
    green_with_findings,
    main_moves_once,
    never_closed_itself,
    no_gates,
    nothing,
    on,
    one_more,
    push_gets_through,
    push_wants_a_gate,
    refused,
    repository_red,
    review_reaches_coder,
    revise_after_rejection,
    revise_when_outdated,
    revise_while_coding,
    shown,
    stuck,
    used_up,
    works,
)
from tests.process.cancels import CANCELS
from tests.process.races import RACES
from tests.process.retries import RETRIES
from tests.process.script import (
    BASE,
    EXPIRE,
    HOLD,
    VOID,
    WAIT,
    Outcome,
    approve,
    diff,
    done,
    failed,
    red,
    reject,
    sha,
)
from tests.process.triages import TRIAGES

SCENARIOS: dict[str, Scenario] = {
    # Every gate approved, or not asked for.
    "delivered": Scenario("delivered", DONE, nothing, both(works(*DELIVERED), gates(REQ, ACC, READY, PROMO))),
    "merged": Scenario("merged", DONE, nothing, both(works(*TO_MERGE), gates(REQ, ACC)), gitops=False),
    "approved_already": Scenario(
        "merged", DONE, approved_already, both(works(*TO_MERGE), gates(ACC)), gitops=False, recorded=False
    ),
    "no_gates": Scenario("delivered", DONE, no_gates, both(works(*DELIVERED), gates())),
    "green_with_findings": Scenario("merged", DONE, green_with_findings, shown, gitops=False),
    "coder_did_more": Scenario("merged", DONE, coder_did_more, shown, gitops=False, recorded=False),
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
    **CANCELS,
    **RACES,
    **RETRIES,
    **TRIAGES,
    "closed_from_outside": Scenario(
        "failed", FAILED, on(ACC, WAIT), never_closed_itself, close_from_outside, recorded=False
    ),
    # At least once, in any order, through many histories
    "everything_thrice": Scenario("delivered", DONE, everything_thrice, each_once),
}
