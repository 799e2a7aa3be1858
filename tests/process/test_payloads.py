"""Messages and the carried state through the converter, outside and inside of a sandboxed workflow."""

from dataclasses import dataclass, field

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.converter import DataConverter
from temporalio.worker import Worker

from ameide.contracts.ids import new_message_id
from ameide.process.converter import DATA_CONVERTER
from ameide.process.workflows.inbox import Inbox, Known
from ameide.process.workflows.journal import Pages
from ameide.process.workflows.state import Ask, Candidate, RunState, Step
from ameide_core_proto.common.v1.metadata_pb import Scope
from ameide_core_proto.process.transformation.v1.facts_pb import Phase, TransformationProcessFact
from ameide_core_proto.transformation.governance.v1.governance_pb import Gate, GateStatus, RunInput
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact
from ameide_core_proto.transformation.work.v1.work_pb import Finding, FindingClass, GatePass, WorkRequest
from tests.process.sandbox import sandbox

CONVERTER = DATA_CONVERTER.payload_converter


@dataclass
class Note:
    """Any plain value of ours."""

    text: str
    numbers: list[int] = field(default_factory=list[int])


@pytest.mark.parametrize(
    ("value", "encoding"),
    [
        (RunInput(change_id="chg-1", scope=Scope(tenant_id="default")), b"binary/protobuf"),
        (Note("a", [1, 2]), b"json/plain"),
        ("text", b"json/plain"),
        (7, b"json/plain"),
        (None, b"binary/null"),
        (b"\x00\xff", b"binary/plain"),
    ],
)
def test_a_value_comes_back(value: object, encoding: bytes) -> None:
    (payload,) = CONVERTER.to_payloads([value])
    assert payload.metadata["encoding"] == encoding
    assert CONVERTER.from_payloads([payload], [type(value)]) == [value]


def test_a_message_needs_no_hint() -> None:
    (payload,) = CONVERTER.to_payloads([Gate(gate_id="gat-1")])
    assert payload.metadata["messageType"] == b"ameide_core_proto.transformation.governance.v1.Gate"
    assert CONVERTER.from_payloads([payload]) == [Gate(gate_id="gat-1")]


def test_an_unknown_message_type_is_named() -> None:
    (payload,) = CONVERTER.to_payloads([Gate()])
    payload.metadata["messageType"] = b"some.other.Type"
    with pytest.raises(RuntimeError) as raised:
        CONVERTER.from_payloads([payload])
    assert "some.other.Type" in str(raised.value.__cause__)


def test_the_carried_state_comes_back_whole() -> None:
    state = RunState(
        requirement=Artifact(artifact_id="art-1"),
        iteration_limit=3,
        step=Step.CODE,
        phase=Phase.EXECUTION,
        inbox=Inbox(
            {
                "work:wrk-1": Known(2, ["m1", "m2"], work=WorkRequest(work_request_id="wrk-1", version=2)),
                "gate:gat-1": Known(1, ["m3"], gate=Gate(gate_id="gat-1", status=GateStatus.OPEN)),
            },
            ["work:wrk-0"],
        ),
        pages=Pages(2, 5, [TransformationProcessFact(run_epoch=2, seq=5)]),
        counts={"coder": 2},
        ask=Ask("coder", 2, "wrk-1", heard_at=1.5),
        passes={"ACCEPTANCE": GatePass(gate_id="gat-0", subject_hash="0" * 64)},
        findings=[Finding(class_=FindingClass.TEST_FAILURE, id="t::a")],
        candidate=Candidate("c" * 40, "d" * 40, "e" * 64, "agent/candidate"),
    )
    payloads = CONVERTER.to_payloads([state])
    assert CONVERTER.from_payloads(payloads, [RunState]) == [state]


def test_the_default_converter_would_not_do() -> None:
    with pytest.raises((RecursionError, TypeError)):
        DataConverter.default.payload_converter.to_payloads([RunInput(requirement=Artifact(artifact_id="art-1"))])


@workflow.defn(name="echo-of-messages")
class Echo:
    """Takes, makes and returns messages inside the sandbox."""

    @workflow.init
    def __init__(self, run: RunInput) -> None:
        self._run = run
        self._heard: list[str] = []

    @workflow.signal
    def hear(self, gate: Gate) -> None:
        """Any message by signal."""
        self._heard.append(gate.gate_id)

    @workflow.run
    async def run(self, run: RunInput) -> RunInput:
        """The input with what was heard."""
        await workflow.wait_condition(lambda: bool(self._heard))
        return RunInput(scope=Scope(tenant_id="default"), change_id=f"{run.change_id}/{self._heard[0]}")


async def test_messages_live_in_the_sandbox(temporal: Client) -> None:
    queue = f"echo-{new_message_id()}"
    async with Worker(temporal, task_queue=queue, workflows=[Echo], workflow_runner=sandbox()):
        answer = await temporal.execute_workflow(
            "echo-of-messages",
            RunInput(change_id="chg-1"),
            id=queue,
            task_queue=queue,
            result_type=RunInput,
            start_signal="hear",
            start_signal_args=[Gate(gate_id="gat-1")],
        )
    assert answer == RunInput(scope=Scope(tenant_id="default"), change_id="chg-1/gat-1")
