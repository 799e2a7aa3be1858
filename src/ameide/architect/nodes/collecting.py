"""The result of a work that was asked for, with citations to its evidence."""

from __future__ import annotations

from collections.abc import Sequence

from langgraph.runtime import Runtime

from ameide.architect.nodes.beginning import spoken
from ameide.architect.nodes.messages import by_form
from ameide.architect.records import Record
from ameide.architect.state import State, ledger_of, request_of
from ameide.architect.tools import registry
from ameide.architect.tools.rendering import inert, one_line
from ameide.architect.tools.tool import ToolAnswer, ToolContext
from ameide.architect.turn import Course, Saying, noted, used
from ameide_core_proto.agent.transformation.v1.architect_service_pb import CollectInstruction, NoticeKind
from ameide_core_proto.transformation.work.v1.query_service_pb import GetWorkRequest
from ameide_core_proto.transformation.work.v1.work_pb import EvidenceBundle, WorkStatus

_OPEN = (WorkStatus.REQUESTED, WorkStatus.STARTED)
# What an analysis answers; its other evidence is how that came about.
_ANSWER = "analysis.md"
# Characters of it that are shown, in so many reads at most.
_MOST, _READS = 24_000, 8


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
    left_out = ""
    if any(one.name == _ANSWER for one in bundle.artifacts):
        pages = await _pages(course.reading(state), bundle.evidence_bundle_id)
        calls += [("read_evidence", page) for page in pages]
        left_out = _left_out(bundle.evidence_bundle_id, pages)
    for tool, answer in calls:
        used(saying, tool, answer, course.agent.redact)
    talk, turn = noted(state["talk"], saying.turn(), [answer for _, answer in calls])
    saying = Saying(turn, runtime.stream_writer, course.agent.redact)
    numbers = dict(turn["numbers"])
    speech = course.agent.speaking(ledger_of(talk), numbers, course.lines)
    for number, (_, answer) in enumerate(calls):
        # The pages of one text have one head.
        saying.pieces(await speech.hear(_told(answer, goes_on=number > 1)))
    saying.pieces(await speech.hear(left_out))
    saying.pieces(await speech.end())
    if course.agent.model is not None:
        # What the evidence says is somebody's words: the model reads it by its tool, marked and fenced.
        came = (
            f"{name} is {work.status.name.lower()}; the person was shown {'a part of ' if left_out else ''}its result."
        )
        if bundle.evidence_bundle_id:
            came += f" The evidence is {bundle.evidence_bundle_id}; read_evidence gives it."
        talk = {**talk, "messages": by_form(talk["messages"], spoken(request_of(turn)), came)}
    return {"talk": talk, "turn": {**saying.turn(), "numbers": numbers}}


async def _pages(context: ToolContext, bundle_id: str) -> list[ToolAnswer]:
    """The answer from its beginning, to its end or as far as is shown."""
    pages: list[ToolAnswer] = []
    room, first = _MOST, 1
    while first and room > 0 and len(pages) < _READS:
        asked = {"evidence_bundle_id": bundle_id, "name": _ANSWER, "first_line": first}
        page = await registry.call(context, "read_evidence", asked)
        pages.append(page)
        room -= sum(len(record.text) for record in page.records)
        first = page.read_on
    return pages


def _left_out(bundle_id: str, pages: Sequence[ToolAnswer]) -> str:
    """What is not shown, and how to get it; empty when all was shown."""
    last = pages[-1]
    missing = [f"its lines from {last.read_on} on are not shown"] if last.read_on else []
    missing += ["of its longest lines only the beginning is"] if any(page.cut for page in pages) else []
    if last.error and len(pages) > 1:
        missing.append("its end could not be read")
    if not missing:
        return ""
    command = f"ameide evidence get {bundle_id} --artifact {_ANSWER}"
    return f"There is more in {_ANSWER}: {', and '.join(missing)}. All of it: `{command}`\n\n"


def _told(answer: ToolAnswer, *, goes_on: bool) -> str:
    if answer.error:
        return f"It could not be read: {answer.error}\n\n"
    parts = [f"{_head(record, goes_on)}{_quoted(record.text)}\n" for record in answer.records]
    parts += [f"Not found: {what}\n" for what in answer.not_found]
    return "".join(parts) + ("" if answer.read_on else "\n")


def _head(record: Record, goes_on: bool) -> str:
    return "" if goes_on else f"{inert(one_line(record.label))} [[{record.key}]]\n\n"


def _quoted(text: str) -> str:
    """Somebody else's words, so that nothing in them is taken for ours: no citation of theirs is one."""
    return "\n".join(f"    {inert(one_line(line))}" for line in text.splitlines())
