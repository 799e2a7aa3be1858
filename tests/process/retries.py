"""Runs that go on from a step of the run before, and runs that go on with a raised budget."""

from collections.abc import Callable
from copy import deepcopy

from ameide.contracts.input_digest import digest_of_order
from ameide.process.workflows import orders
from ameide.process.workflows.state import RunState
from ameide_core_proto.process.transformation.v1.facts_pb import ActivityTransition, ActivityTransitioned
from ameide_core_proto.transformation.governance.v1.governance_pb import ReusableWork
from ameide_core_proto.transformation.work.v1.command_service_pb import RequestWorkRequest
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode, Outputs
from tests.process.arranging import ACC, BUDGET, DONE, REQ, TO_MERGE, Scenario, at, both, gates, works
from tests.process.script import BASE, Outcome, Script, diff, done, failed, red, sha

BEFORE = "r2r/default/chg-1/0"
BRANCH_BEFORE = "agent/coder/chg-1/0"
RED = red("t::a")


def _made(name: str) -> Outcome:
    return done(commit_sha=sha(name), branch=BRANCH_BEFORE, diff_hash=diff(name), base_sha=BASE)


class Before:
    """The run before, told step by step as the course goes: what it was asked for, and what it answered."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.state = RunState.at_start(script.input)
        self.works: list[ReusableWork] = []

    def did(self, activity: str, order: RequestWorkRequest, outcome: Outcome) -> None:
        """It did a step."""
        number = len(self.works) + 1
        self.works.append(
            ReusableWork(
                activity=activity,
                work_request_id=f"wrk-before-{number}",
                process_instance_id=BEFORE,
                input_digest=digest_of_order(order, self.script.repository, self.script.policy),
                status=outcome.status,
                result=outcome.result,
                executor_principal_id="before",
            )
        )

    def to_coder(self) -> None:
        """Up to the first commit of its coder."""
        run, state = self.script.input, self.state
        self.did("preflight", orders.preflight(run, state), done(commit_sha=BASE))
        state.base_sha = state.head_sha = BASE
        self.did("scaffold", orders.scaffold(run, state), done(commit_sha=BASE, unchanged=True))
        self.did("generate", orders.generate(run, state), done(commit_sha=BASE, unchanged=True))
        self.coded("first")

    def coded(self, name: str) -> None:
        """A coder iteration."""
        self.did("coder", orders.code(self.script.input, self.state), _made(name))
        self.state.head_sha = sha(name)

    def verified(self, outcome: Outcome) -> None:
        """The verification of the head; red gives the coder its findings."""
        self.did("verify", orders.verify(self.script.input, self.state), outcome)
        self.state.findings = list(outcome.result.findings)
        self.state.iteration += bool(outcome.result.findings)


def before(tell: Callable[[Before], None]) -> Callable[[Script], None]:
    """The run may take what `tell` says that the run before did."""

    def arrange(script: Script) -> None:
        earlier = Before(script)
        tell(earlier)
        script.reusable = earlier.works

    return arrange


def _red_then_mended(earlier: Before) -> None:
    earlier.to_coder()
    earlier.verified(RED)
    earlier.coded("second")


def _green(earlier: Before) -> None:
    earlier.to_coder()
    earlier.verified(Outcome())


def _of_another_requirement(earlier: Before) -> None:
    earlier.state.requirement = deepcopy(earlier.state.requirement)
    assert earlier.state.requirement.current is not None
    earlier.state.requirement.current.number = 7
    _green(earlier)


def taken(*steps: str) -> Callable[[Script], None]:
    """The process said of exactly these steps that it took them, from which work and with which inputs."""

    def check(script: Script) -> None:
        said = [fact for fact in script.facts_named("activity_transitioned") if isinstance(fact, ActivityTransitioned)]
        skipped = [fact for fact in said if fact.transition == ActivityTransition.SKIPPED]
        assert [fact.activity for fact in skipped] == list(steps)
        assert [fact.work_request_id for fact in skipped] == [
            f"wrk-before-{number}" for number in range(1, len(steps) + 1)
        ]
        for fact, known in zip(skipped, script.reusable, strict=False):
            assert fact.reason == f"reused from {BEFORE}, same inputs {known.input_digest[:12]}"

    return check


def _goes_on_from(name: str) -> Callable[[Script], None]:
    """What is verified is the commit of the run before; what the coder makes next goes to this run's own branch."""

    def check(script: Script) -> None:
        verify = script.orders("verify")[0]
        assert (verify.base_sha, verify.commit_sha) == (BASE, sha(name))
        for order in script.orders("coder")[:1]:
            assert order.inputs is not None
            assert (order.commit_sha, order.inputs.expected_branch_sha) == (sha(name), "")
            assert order.inputs.branch == f"agent/coder/{script.change_id}/1"

    return check


def _spent(script: Script) -> None:
    branch = f"agent/coder/{script.change_id}/1"
    kept = Outputs(commit_sha=sha("unfinished"), branch=branch)
    script.works["coder"] = [failed(FailureCode.BUDGET_EXHAUSTED, outputs=kept)]


def _goes_on_with_what_was_kept(script: Script) -> None:
    first, second = script.orders("coder")
    assert first.inputs is not None
    assert second.inputs is not None
    assert (first.inputs.iteration, second.inputs.iteration) == (1, 1)
    assert (second.commit_sha, second.inputs.expected_branch_sha) == (sha("unfinished"), sha("unfinished"))
    # What a work may use is for the Domain to say: it knows what was granted.
    assert (first.budget, second.budget) == (None, None)
    [gate] = [gate for gate in script.opened if gate.kind == BUDGET]
    assert gate.subject is not None
    assert gate.subject.reason == "code: budget_exhausted. BUDGET_EXHAUSTED"


RETRIES: dict[str, Scenario] = {
    "retried_from_verify": Scenario(
        "merged",
        DONE,
        before(Before.to_coder),
        both(works("verify", "merge_prepare", "merge_push"), taken(*TO_MERGE[:4]), _goes_on_from("first")),
        gitops=False,
    ),
    "retried_and_red": Scenario(
        "merged",
        DONE,
        both(before(Before.to_coder), at("verify", RED)),
        both(works("verify", "coder", "verify", "merge_prepare", "merge_push"), _goes_on_from("first")),
        gitops=False,
        recorded=False,
    ),
    "retried_behind_a_red_iteration": Scenario(
        "merged",
        DONE,
        before(_red_then_mended),
        both(
            works("verify", "merge_prepare", "merge_push"),
            taken(*TO_MERGE[:5], "coder"),
            _goes_on_from("second"),
        ),
        gitops=False,
        recorded=False,
    ),
    "retried_from_acceptance": Scenario(
        "merged",
        DONE,
        before(_green),
        both(works("merge_prepare", "merge_push"), taken(*TO_MERGE[:5]), gates(REQ, ACC)),
        gitops=False,
    ),
    "retried_with_other_inputs": Scenario(
        "merged",
        DONE,
        before(_of_another_requirement),
        # Its coder wrote for another version; what tools found out about the base holds.
        both(works(*TO_MERGE[3:]), taken(*TO_MERGE[:3])),
        gitops=False,
        recorded=False,
    ),
    "budget_spent": Scenario(
        "merged",
        DONE,
        _spent,
        both(
            works(*TO_MERGE[:4], *TO_MERGE[3:]),
            gates(REQ, BUDGET, ACC),
            _goes_on_with_what_was_kept,
        ),
        gitops=False,
    ),
}
