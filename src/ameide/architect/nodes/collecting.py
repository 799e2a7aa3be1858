"""The result of a work that was asked for, with citations to its evidence."""

from __future__ import annotations

from langgraph.runtime import Runtime

from ameide.architect.nodes.beginning import spoken
from ameide.architect.nodes.messages import by_form
from ameide.architect.state import State, ledger_of, request_of
from ameide.architect.tools import registry
from ameide.architect.tools.rendering import inert, one_line
from ameide.architect.tools.tool import ToolAnswer
from ameide.architect.turn import Course, Saying, noted, used
from ameide_core_proto.agent.transformation.v1.architect_service_pb import CollectInstruction, NoticeKind
from ameide_core_proto.transformation.work.v1.query_service_pb import GetWorkRequest
from ameide_core_proto.transformation.work.v1.work_pb import EvidenceBundle, WorkStatus

_OPEN = (WorkStatus.REQUESTED, WorkStatus.STARTED)
# What an analysis answers; its other evidence is how that came about.
_ANSWER = "analysis.md"


async def collect(state: State, runtime: Runtime[Course]) -> dict[str, object]:
    """Look how far it is. Reads only."""
    course, turn = runtime.context, state["turn"]
    wish = request_of(turn).instruction
    assert wish is not None
    assert isinstance(wish.value, CollectInstruction)
    name = wish.value.work_request_id
    found = await course.clients.work_queries.get_work(GetWorkRequest(scope=course.scope, work_request_id=name))
    saying = Saying(turn, runtime.stream_writer, course.agent.redact)
    work = found.work
    assert work is not None
    if work.status in _OPEN:
        saying.notice(NoticeKind.WAITING, f"{name} is {work.status.name.lower()}; its result is not there yet.")
        return {"turn": {**saying.turn(), "waiting_work": name}}
    calls = [("get_work", await registry.call(course.reading(state), "get_work", {"work_request_id": name}))]
    bundle = found.evidence or EvidenceBundle()
    for artifact in [one for one in bundle.artifacts if one.name == _ANSWER]:
        asked = {"evidence_bundle_id": bundle.evidence_bundle_id, "name": artifact.name}
        calls.append(("read_evidence", await registry.call(course.reading(state), "read_evidence", asked)))
    for tool, answer in calls:
        used(saying, tool, answer, course.agent.redact)
    talk, turn = noted(state["talk"], saying.turn(), [answer for _, answer in calls])
    saying = Saying(turn, runtime.stream_writer, course.agent.redact)
    numbers = dict(turn["numbers"])
    speech = course.agent.speaking(ledger_of(talk), numbers, course.lines)
    for _, answer in calls:
        saying.pieces(await speech.hear(_told(answer)))
    saying.pieces(await speech.end())
    if course.agent.model is not None:
        # What the evidence says is somebody's words: the model reads it by its tool, marked and fenced.
        came = f"{name} is {work.status.name.lower()}; the person was shown its result."
        if bundle.evidence_bundle_id:
            came += f" The evidence is {bundle.evidence_bundle_id}; read_evidence gives it."
        talk = {**talk, "messages": by_form(talk["messages"], spoken(request_of(turn)), came)}
    return {"talk": talk, "turn": {**saying.turn(), "numbers": numbers}}


def _told(answer: ToolAnswer) -> str:
    if answer.error:
        return f"It could not be read: {answer.error}\n\n"
    parts = [
        f"{inert(one_line(record.label))} [[{record.key}]]\n\n{_quoted(record.text)}\n\n" for record in answer.records
    ]
    parts += [f"Not found: {what}\n\n" for what in answer.not_found]
    return "".join(parts)


def _quoted(text: str) -> str:
    """Somebody else's words, so that nothing in them is taken for ours: no citation of theirs is one."""
    return "\n".join(f"    {inert(one_line(line))}" for line in text.splitlines())
