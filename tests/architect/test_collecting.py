"""The result of an analysis is shown as a whole, or it is said what is left out and where it is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from langgraph.runtime import Runtime
from protobuf import Oneof

from ameide.architect import speech
from ameide.architect.agent import Agent
from ameide.architect.nodes.collecting import collect
from ameide.architect.state import State, new_talk, new_turn
from ameide.architect.turn import Course
from ameide.rpc.clients import Clients
from ameide_core_proto.agent.transformation.v1.architect_service_pb import CollectInstruction, ConverseRequest
from ameide_core_proto.common.v1.metadata_pb import Scope
from ameide_core_proto.common.v1.reading_pb import ReadContext
from ameide_core_proto.transformation.work.v1.query_service_pb import GetEvidenceResponse, GetWorkResponse
from ameide_core_proto.transformation.work.v1.work_pb import EvidenceArtifact, EvidenceBundle, WorkRequest, WorkStatus
from tests.architect.reading import NoEvidence, NoRepositories

WORK, BUNDLE = "wrk-1", "evd-1"
GET = f"`ameide evidence get {BUNDLE} --artifact analysis.md`"
URI = "store:work/default/wrk-1/analysis.md"


class Works:
    """One analysis that has ended."""

    def __init__(self, size: int) -> None:
        artifact = EvidenceArtifact(name="analysis.md", uri=URI, bytes=size)
        self.bundle = EvidenceBundle(evidence_bundle_id=BUNDLE, work_request_id=WORK, artifacts=[artifact])
        self.context = ReadContext(scope=Scope(tenant_id="default"), log_position=7)

    async def get_work(self, _request: object) -> GetWorkResponse:
        work = WorkRequest(work_request_id=WORK, status=WorkStatus.SUCCEEDED)
        return GetWorkResponse(read_context=self.context, work=work, evidence=self.bundle)

    async def get_evidence(self, _request: object) -> GetEvidenceResponse:
        return GetEvidenceResponse(read_context=self.context, evidence=self.bundle)


async def collected(text: str) -> tuple[str, State]:
    """What the person is shown of an analysis that says this, and the state after it."""
    data = text.encode()
    clients = cast("Clients", SimpleNamespace(work_queries=Works(len(data))))
    agent = Agent(repositories=NoRepositories(), evidence=NoEvidence({URI: data}), speaking=speech.begin)
    course = Course(agent, clients, Scope(tenant_id="default"), "rita", frozenset({"requester"}))
    request = ConverseRequest(instruction=Oneof("collect", CollectInstruction(work_request_id=WORK)))
    state = State(inbox=b"", talk=new_talk("cnv-1", "", ""), turn=new_turn(request), errand=None)
    told: list[object] = []
    runtime = cast("Runtime[Course]", SimpleNamespace(context=course, stream_writer=told.append))
    after: dict[str, Any] = await collect(state, runtime)
    return after["turn"]["text"], cast("State", after)


@pytest.mark.parametrize("lines", [3, 240, 500])
async def test_a_long_answer_is_shown_to_its_end(lines: int) -> None:
    shown, state = await collected("".join(f"{n}. what was found there\n" for n in range(1, lines + 1)))
    assert [f"{n}: {n}. what was found there" in shown for n in range(1, lines + 1)] == [True] * lines
    assert "ameide evidence get" not in shown
    assert shown.count("analysis.md of evidence") == 1
    assert f"evidence_bundle:{BUNDLE}" in state["talk"]["known"]


async def test_what_is_left_out_is_said() -> None:
    shown, _ = await collected("".join(f"{n}. what was found there\n" for n in range(1, 5000)))
    last = shown.count(". what was found there")
    assert f"    {last}: {last}. what was found there\n" in shown
    assert 24_000 < len(shown) < 36_000
    assert f"its lines from {last + 1} on are not shown" in shown
    assert GET in shown


async def test_a_line_that_is_cut_is_said() -> None:
    shown, _ = await collected(f"short\n{'long ' * 500}\nthe end\n")
    assert "3: the end" in shown
    assert "of its longest lines only the beginning is" in shown
    assert GET in shown
