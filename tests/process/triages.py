"""Triage runs: what they read, what they have analyzed, what they propose, and how they end."""

from ameide.architect.triage import problems_of
from ameide_core_proto.process.transformation.v1.facts_pb import ReadPerformed
from ameide_core_proto.transformation.governance.v1.policy_pb import DeclaredRead
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import (
    ArtifactContent,
    ChangeSize,
    Primitive,
    Provenance,
    Triage,
)
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, FailureCode, WorkKind, WorkResult
from tests.process.arranging import CANCELED, DONE, FAILED, Arrange, Check, Scenario, at, both, gates, refused, works
from tests.process.script import HOLD, Outcome, Script, failed

_ANALYZED = Outcome(result=WorkResult(summary="Orders are kept in one place.", evidence_bundle_id="evd-1"))


def all_of(*parts: Arrange) -> Arrange:
    """All of them, in turn."""

    def arrange(script: Script) -> None:
        for part in parts:
            part(script)

    return arrange


def triage(*queries: str, deep: bool = False, seconds: int = 30) -> Arrange:
    """A triage, and the reads that the policy declares."""

    def arrange(script: Script) -> None:
        script.triage = ArtifactContent(
            title="Cancel an order",
            text="People ask for it.",
            triage=Triage(
                in_scope=["cancelling"],
                primitives=[Primitive.DOMAIN],
                size=ChangeSize.SMALL,
                open_questions=["Until when?"],
                deep_analysis=deep,
                analysis_question="Where are orders kept?" if deep else "",
            ),
        )
        script.policy.declared_reads = [DeclaredRead(query=query, deadline_seconds=seconds) for query in queries]

    return arrange


def reads(*queries: tuple[str, int]) -> Check:
    """The reads were exactly these, each with its position and a deadline."""

    def check(script: Script) -> None:
        told = [fact for fact in script.facts_named("read_performed") if isinstance(fact, ReadPerformed)]
        assert [(one.query, one.log_position) for one in told] == list(queries)
        assert all(one.deadline is not None for one in told)

    return check


_GATES = ("requirement_stabilized", "acceptance", "ready_to_release", "promotion")


def proposed(*lines: str, questions: tuple[str, ...] = ("Until when?",), required: tuple[str, ...] = _GATES) -> Check:
    """One triage was proposed, which says these lines, leaves these questions open, and agrees with the policy."""

    def check(script: Script) -> None:
        [made] = script.proposed
        assert made.triage is not None
        assert made.text.startswith("People ask for it.")
        for line in lines:
            assert line in made.text, made.text
        assert tuple(made.triage.open_questions) == questions
        assert tuple(made.triage.required_gates) == required
        assert problems_of(made.triage, script.policy) == []

    return check


def nothing_proposed(script: Script) -> None:
    assert not script.proposed
    assert not script.held


def asked_for_an_analysis(script: Script) -> None:
    [order] = script.orders("analyze")
    assert (order.work_kind, order.action_kind) == (WorkKind.AGENT_WORK, ActionKind.ANALYZE)
    assert order.inputs is not None
    assert (order.inputs.question, order.inputs.branch) == ("Where are orders kept?", "")
    assert (order.commit_sha, order.base_sha) == ("", "")


def silent(*queries: str) -> Arrange:
    """Reads that are never answered."""

    def arrange(script: Script) -> None:
        script.silent_reads = list(queries)

    return arrange


def not_found(*queries: str) -> Arrange:
    """Reads that are refused."""

    def arrange(script: Script) -> None:
        script.refused_reads = list(queries)

    return arrange


def many_signals(script: Script) -> None:
    """A history is full after ten of them."""
    script.copies = 6
    assert script.policy.bounds is not None
    script.policy.bounds.max_history_signals = 10


def losing(command: str) -> Arrange:
    """An answer is lost on its way."""

    def arrange(script: Script) -> None:
        script.lost_answers[command] = 1

    return arrange


def stuck_analysis(script: Script) -> None:
    assert script.policy.bounds is not None
    script.policy.bounds.stuck_after_seconds = 1
    script.works["analyze"] = [Outcome(hold=True, deaf=True)]


_WRITTEN = Provenance(conversation_id="cnv-1", model="anthropic:second")


def written_by_a_model(script: Script) -> None:
    script.provenance = _WRITTEN


def says_who_wrote_it(script: Script) -> None:
    assert script.origins == [_WRITTEN]


def nowhere_to_promote_to(script: Script) -> None:
    script.policy.environments = []


def open_environments(script: Script) -> None:
    for environment in script.policy.environments:
        environment.gate_required = False


async def cancel_while_analyzing(script: Script) -> None:
    await script.reached(lambda: bool(script.held))
    await script.request_cancel()


TRIAGES: dict[str, Scenario] = {
    "triaged": Scenario(
        "triaged",
        DONE,
        triage("GetRepository", "GetChange", "ListChanges"),
        both(
            works(),
            gates(),
            reads(("GetRepository", 8), ("GetChange", 7), ("ListChanges", 9)),
            proposed("1 other changes are open; chg-other is open too: Ship an order"),
        ),
    ),
    "triaged_without_reads": Scenario(
        "triaged", DONE, triage(), both(works(), reads(), proposed("The policy declares no reads.")), recorded=False
    ),
    "triaged_without_environments": Scenario(
        "triaged",
        DONE,
        all_of(triage(), nowhere_to_promote_to),
        proposed(required=_GATES[:-1]),
        recorded=False,
    ),
    "triaged_with_open_environments": Scenario(
        "triaged", DONE, all_of(triage(), open_environments), proposed(required=_GATES[:-1]), recorded=False
    ),
    "triaged_by_a_model": Scenario(
        "triaged", DONE, all_of(triage(), written_by_a_model), both(proposed(), says_who_wrote_it), recorded=False
    ),
    "triaged_with_analysis": Scenario(
        "triaged",
        DONE,
        all_of(triage("ListChanges", deep=True), at("analyze", _ANALYZED)),
        both(
            works("analyze"),
            asked_for_an_analysis,
            reads(("ListChanges", 9)),
            proposed("(evidence evd-1): Orders are kept in one place."),
        ),
    ),
    "triage_reads_in_time_or_not_at_all": Scenario(
        "triaged",
        DONE,
        all_of(triage("GetChange", "ListChanges", seconds=1), silent("GetChange")),
        both(reads(("ListChanges", 9)), proposed("GetChange: not read, no answer within 1 s")),
    ),
    "triage_read_refused": Scenario(
        "triaged",
        DONE,
        all_of(triage("GetChange", "DropTables", "ListChanges"), not_found("GetChange")),
        both(
            reads(("ListChanges", 9)),
            proposed("GetChange: not read, no such change", "'DropTables' is no query that a run may read"),
        ),
        recorded=False,
    ),
    "triage_analysis_fails": Scenario(
        "triaged",
        DONE,
        all_of(
            triage(deep=True),
            at("analyze", failed(FailureCode.LEASE_LOST), failed(FailureCode.MISSING_CREDENTIALS)),
        ),
        both(
            works("analyze", "analyze"),
            proposed(
                "failed: missing_credentials, MISSING_CREDENTIALS", questions=("Where are orders kept?", "Until when?")
            ),
        ),
    ),
    "triage_analysis_refused": Scenario(
        "triaged",
        DONE,
        all_of(triage(deep=True), refused("request_work", "BUDGET_EXHAUSTED")),
        both(works(), proposed("The analysis was refused", questions=("Where are orders kept?", "Until when?"))),
        recorded=False,
    ),
    "triage_analysis_stuck": Scenario(
        "triaged",
        DONE,
        all_of(triage(deep=True), stuck_analysis),
        proposed("nothing after it was canceled", questions=("Where are orders kept?", "Until when?")),
        recorded=False,
    ),
    "triage_proposal_refused": Scenario(
        "failed",
        FAILED,
        all_of(triage("ListChanges"), refused("propose_artifact", "ARTIFACT_MISFIT")),
        nothing_proposed,
        recorded=False,
    ),
    "triage_canceled": Scenario(
        "canceled",
        CANCELED,
        all_of(triage(deep=True), at("analyze", HOLD)),
        both(works("analyze"), nothing_proposed),
        cancel_while_analyzing,
    ),
    "triage_told_sixfold": Scenario(
        "triaged",
        DONE,
        all_of(triage("ListChanges", deep=True), at("analyze", _ANALYZED), many_signals, losing("propose_artifact")),
        both(works("analyze"), reads(("ListChanges", 9)), proposed("Orders are kept in one place.")),
    ),
}
