"""Every kind of fact has a sentence of its own, and the sentence is fit for one row of a table."""

from typing import Any

import pytest
from protobuf import DescFieldValueMessage, Message, Registry

from ameide.contracts.facts import AGGREGATORS, FACT_FIELDS
from ameide.views.process_sentences import Course, course_of
from ameide.views.sentences import sentence, who
from ameide_core_proto.common.v1.metadata_pb import Actor
from ameide_core_proto.process.transformation.v1 import facts_pb as process
from ameide_core_proto.transformation.governance.v1.facts_pb import GateDecided, GateVoteRecorded
from ameide_core_proto.transformation.governance.v1.governance_pb import Gate, GateStatus, GateVerdict, GateVote
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.work.v1.facts_pb import WorkCompleted, WorkExecutionRequested, WorkFailed
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    FailureCode,
    Finding,
    Outputs,
    WorkInputs,
    WorkKind,
    WorkRequest,
    WorkResult,
)


def _smallest(name: str) -> Message[Any]:
    topic, field = FACT_FIELDS[name]
    aggregator = AGGREGATORS[topic]
    [oneof] = aggregator.desc().oneofs
    [found] = [one for one in oneof.fields if one.local_name == field]
    assert isinstance(found.value, DescFieldValueMessage)
    made = Registry(aggregator.desc().file).message(found.value.message.type_name)
    assert made is not None
    fact = made.type()
    for member in found.value.message.fields:
        if isinstance(member.value, DescFieldValueMessage):
            setattr(fact, member.local_name, member.value.message.type())
    return fact


@pytest.mark.parametrize("name", sorted(FACT_FIELDS))
def test_every_fact_has_a_sentence_of_its_own(name: str):
    assert sentence(_smallest(name)) not in ("", name)


def test_a_decision_names_the_person_and_the_reason():
    gate = Gate(
        kind=GateKind.ACCEPTANCE,
        status=GateStatus.APPROVED,
        decided_by=Actor(principal_id="demo-approver"),
        comment="looks right",
    )
    assert sentence(GateDecided(gate=gate)) == "gate ACCEPTANCE approved by demo-approver: looks right"
    gate.votes = [
        GateVote(actor=Actor(principal_id="bot", on_behalf_of="eva"), verdict=GateVerdict.REJECT, comment="too wide")
    ]
    assert sentence(GateVoteRecorded(gate=gate)) == "bot for eva voted reject at gate ACCEPTANCE: too wide"


def test_a_work_names_its_step_and_what_came_of_it():
    work = WorkRequest(
        work_kind=WorkKind.AGENT_WORK,
        action_kind=ActionKind.PUBLISH,
        commit_sha="a" * 40,
        inputs=WorkInputs(iteration=2),
        result=WorkResult(summary="done", outputs=Outputs(commit_sha="b" * 40)),
    )
    assert sentence(WorkCompleted(work=work)) == (
        "PUBLISH by the coder at aaaaaaaaaaaa, iteration 2 completed with commit bbbbbbbbbbbb. done"
    )
    work.result = WorkResult(failure_code=FailureCode.POLICY_VIOLATION, findings=[Finding(id="x")], summary="denied")
    assert sentence(WorkFailed(work=work)).endswith("failed: POLICY_VIOLATION, 1 findings. denied")
    intent = WorkExecutionRequested(dispatch=1, action_kind=ActionKind.VERIFY, queue="q")
    assert sentence(intent) == "invitation 1 to claim VERIFY on q"


def test_a_sentence_is_one_bounded_line():
    work = WorkRequest(result=WorkResult(summary="line one\nline\0 two " + "x" * 4000))
    text = sentence(WorkCompleted(work=work))
    assert "line one line two" in text
    assert "\n" not in text
    assert "\0" not in text
    assert len(text) == 500


def test_somebody_without_a_name():
    assert who(None) == "somebody"
    assert who(Actor()) == "somebody"


def test_a_step_ends_a_wait_but_not_a_phase():
    assert course_of(process.Awaiting(what="gate", ref="gat-1")) == Course(None, "gate gat-1")
    assert course_of(process.ActivityTransitioned()) == Course(None, "")
    assert course_of(process.ReadPerformed()) == Course(None, None)
    assert course_of(process.PhaseEntered(phase=process.Phase.AWAITING_APPROVAL)) == Course("awaiting_approval", "")
    assert course_of(process.ProcessInstanceFailed()) == Course("terminal", "")
