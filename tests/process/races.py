"""Runs in which two things happen at once: a gate is decided and voided, a pass is used twice, an answer comes late."""

import asyncio
import itertools

from ameide_core_proto.process.transformation.v1.facts_pb import Phase, PhaseEntered, TransformationProcessFact
from ameide_core_proto.transformation.governance.v1.facts_pb import GateOpened, GateVoteRecorded
from ameide_core_proto.transformation.governance.v1.governance_pb import Gate, GateStatus
from ameide_core_proto.transformation.work.v1.work_pb import WorkStatus
from tests.process.arranging import (
    ACC,
    BUDGET,
    DELIVERED,
    DONE,
    FAILED,
    HUMAN,
    PROMO,
    READY,
    REQ,
    TO_MERGE,
    Arrange,
    Check,
    Scenario,
    at,
    both,
    gates,
    on,
    refused,
    works,
)
from tests.process.script import APPROVE, EXPIRE, HOLD, VOID, WAIT, Outcome, Script, done, sha

STRANGERS, VERSIONS, WAVE = 100, 10, 50
SILENT = Outcome(hold=True, deaf=True, begun=True)


async def revise_as_it_is_decided(script: Script) -> None:
    """The approval came first; before its workflow can act on it the requirement is revised."""
    await script.reached(lambda: REQ in script.waiting)
    gate = script.waiting[REQ]
    await script.settle_gate(gate, APPROVE)
    await script.settle_gate(gate, VOID)
    await script.submit_version(2)


async def revise_instead_of_deciding(script: Script) -> None:
    """The revision came first; the decision was refused, and nothing is heard of it."""
    await script.reached(lambda: REQ in script.waiting)
    await script.settle_gate(script.waiting[REQ], VOID)
    await script.submit_version(2)


async def void_after_the_refusal(script: Script) -> None:
    """The Domain refused the voided pass before the workflow heard that it was voided."""
    await script.reached(lambda: len([gate for gate in script.opened if gate.kind == ACC]) == 2)
    first = next(gate for gate in script.opened if gate.kind == ACC)
    await script.settle_gate(first, VOID)
    await script.reached(lambda: ACC in script.waiting)
    await script.settle_gate(script.waiting[ACC], APPROVE)


async def void_while_building(script: Script) -> None:
    await script.reached(lambda: bool(script.held))
    await script.settle_gate(next(gate for gate in script.opened if gate.kind == READY), VOID)


async def speak_when_nobody_waits(script: Script) -> None:
    """The executor that was given up says its outcome after all, while another one has the step."""
    await script.reached(lambda: script.steps.count("coder") == 2 and len(script.held) == 2)
    first, second = script.held.values()
    await script.end_work(first, done(commit_sha=sha("late"), branch="agent/late"))
    await script.end_work(second, done(commit_sha=sha("second"), diff_hash="2" * 64))


async def thousand_strangers(script: Script) -> None:
    """A thousand facts of gates that the run never asked for, ten of each gate, every fifth twice.

    In waves of more than a history takes, so that each meets Continue-As-New; an endless flood would put it off.
    """
    await script.reached(lambda: ACC in script.waiting)
    handle = script.client.get_workflow_handle(script.pid)

    async def send(stranger: int, version: int) -> None:
        gate = Gate(gate_id=f"stranger-{stranger}", status=GateStatus.OPEN, version=version)
        fact = GateOpened(gate=gate) if version == 1 else GateVoteRecorded(gate=gate)
        await script.state(fact, "gate", gate.gate_id, version, copies=2 if stranger % 5 == 0 else 1)

    for version, first in itertools.product(range(1, VERSIONS + 1), range(0, STRANGERS, WAVE)):
        before = (await handle.describe()).run_id
        await asyncio.gather(*(send(stranger, version) for stranger in range(first, first + WAVE)))
        while (await handle.describe()).run_id == before:
            continue
    await script.settle_gate(script.waiting[ACC], APPROVE)


def refused_at(step: str, *reasons: str) -> Arrange:
    """The Domain refuses requests of a step, in turn; an empty reason lets one through."""

    def arrange(script: Script) -> None:
        script.refused_steps[step] = list(reasons)

    return arrange


def stuck_after_a_second(script: Script) -> None:
    assert script.policy.bounds is not None
    script.policy.bounds.stuck_after_seconds = 1


def few_signals_a_history(script: Script) -> None:
    assert script.policy.bounds is not None
    script.policy.bounds.max_history_signals = WAVE


def answers_lost(script: Script) -> None:
    """Each work has ended before its request is answered, and the first answer is lost."""
    script.early = True
    script.lost_answers.update(request_work=len(TO_MERGE), open_gate=2)


def terminal_fact_refused(script: Script) -> None:
    def refuse(fact: TransformationProcessFact) -> bool:
        body = fact.fact.value if fact.fact is not None else None
        return isinstance(body, PhaseEntered) and body.phase == Phase.TERMINAL

    script.refused_fact = refuse


def stands(*statuses: GateStatus) -> Check:
    """How the acceptance gates ended, in the order of their opening."""

    def check(script: Script) -> None:
        assert [gate.status for gate in script.opened if gate.kind == ACC] == list(statuses)

    return check


def pass_shown(step: str, kind: int) -> Check:
    """The last order of a step shows the pass of the newest gate of its kind."""

    def check(script: Script) -> None:
        shown = script.orders(step)[-1].gate_pass
        assert shown is not None
        assert shown.gate_id == [gate for gate in script.opened if gate.kind == kind][-1].gate_id

    return check


def late_result_did_nothing(script: Script) -> None:
    commands = [name for name, _ in script.commands]
    assert commands.count("cancel_work") == 1
    assert script.steps.count("coder") == 2
    assert script.orders("verify")[0].commit_sha == sha("second")
    assert script.gate_kinds == [REQ.name, HUMAN.name, ACC.name]


def first_build_canceled(script: Script) -> None:
    assert list(script.ended.values()).count(WorkStatus.CANCELED) == 1
    assert script.steps == [*TO_MERGE, "build", *DELIVERED[len(TO_MERGE) :]]


def said_the_end(script: Script) -> None:
    """What was refused is lost, the end is not."""
    assert len(script.facts_named("process_instance_completed")) == 1
    assert [name for name, _ in script.commands].count("close_run") == 1


RACES: dict[str, Scenario] = {
    "revised_as_decided": Scenario("merged", DONE, on(REQ, WAIT), gates(REQ, REQ, ACC), revise_as_it_is_decided, False),
    "revised_before_decided": Scenario(
        "merged", DONE, on(REQ, WAIT), gates(REQ, REQ, ACC), revise_instead_of_deciding, False
    ),
    "voided_before_it_is_heard": Scenario(
        "merged",
        DONE,
        both(refused_at("merge_push", "GATE_VOIDED"), on(ACC, APPROVE, WAIT)),
        both(gates(REQ, ACC, ACC), stands(GateStatus.VOIDED, GateStatus.APPROVED), pass_shown("merge_push", ACC)),
        void_after_the_refusal,
        False,
    ),
    "voided_while_building": Scenario(
        "delivered",
        DONE,
        at("build", HOLD),
        both(gates(REQ, ACC, READY, READY, PROMO), first_build_canceled),
        void_while_building,
    ),
    "push_pass_used_twice": Scenario(
        "merged",
        DONE,
        refused_at("merge_push", "GATE_CONSUMED"),
        both(works(*TO_MERGE), gates(REQ, ACC, ACC), pass_shown("merge_push", ACC)),
        gitops=False,
    ),
    "publish_pass_used_twice": Scenario(
        "delivered",
        DONE,
        refused_at("publish", "GATE_CONSUMED"),
        both(gates(REQ, ACC, READY, READY, PROMO), pass_shown("publish", READY)),
    ),
    "deploy_pass_used_twice": Scenario(
        "delivered",
        DONE,
        refused_at("deploy", "", "GATE_CONSUMED"),
        both(works(*DELIVERED), gates(REQ, ACC, READY, PROMO, PROMO), pass_shown("deploy", PROMO)),
    ),
    "budget_expired": Scenario(
        "failed", FAILED, both(refused("request_work", "BUDGET_EXHAUSTED"), on(BUDGET, EXPIRE)), gates(REQ, BUDGET)
    ),
    "stuck_work_late": Scenario(
        "merged",
        DONE,
        both(stuck_after_a_second, at("coder", SILENT, HOLD)),
        late_result_did_nothing,
        speak_when_nobody_waits,
        False,
    ),
    "completion_before_its_answer": Scenario(
        "merged", DONE, answers_lost, both(works(*TO_MERGE), gates(REQ, ACC)), gitops=False
    ),
    "thousand_signals": Scenario(
        "merged",
        DONE,
        both(few_signals_a_history, on(ACC, WAIT)),
        both(works(*TO_MERGE), gates(REQ, ACC)),
        thousand_strangers,
        False,
    ),
    "end_refused_for_its_facts": Scenario(
        "merged", DONE, terminal_fact_refused, both(works(*TO_MERGE), said_the_end), gitops=False
    ),
}
