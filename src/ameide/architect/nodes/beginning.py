"""The beginning of a turn: what was asked goes into the conversation, and the Domain is told of the turn."""

from __future__ import annotations

from langgraph.runtime import Runtime

from ameide.architect.nodes.recording import record
from ameide.architect.state import AGENT, PERSON, Entry, State, Talk, Turn, new_turn
from ameide.architect.turn import Course, Saying
from ameide.errors import Refused
from ameide_core_proto.agent.transformation.v1.architect_service_pb import ConverseRequest, NoticeKind, TurnBegan

_NO_MODEL = "No language model is configured: what follows comes from the records and from templates alone."
_SPENT = "The budget is used up, so no model is asked: what follows comes from the records and from templates alone."


async def begin(state: State, runtime: Runtime[Course]) -> dict[str, object]:
    """Take the request from the inbox. A turn that never ended leaves what it said in the transcript."""
    request = ConverseRequest.from_binary(state["inbox"])
    turn = new_turn(request)
    talk = state["talk"]
    if (former := state["turn"])["turn_id"] and not former["ended"]:
        talk = with_entry(talk, AGENT, former["text"] or "(The turn was broken off.)", former, former["cited"])
    talk = with_entry(talk, PERSON, runtime.context.agent.redact(spoken(request)), turn, [])
    if request.instruction is not None and request.instruction.field == "text":
        # Made here and not where the model is asked: that may be done again.
        told = runtime.context.agent.redact(request.instruction.value)
        message: dict[str, object] = {"type": "human", "data": {"content": told}}
        talk = Talk({**talk, "messages": [*talk["messages"], message]})
    model = runtime.context.agent.model
    saying = Saying(turn, runtime.stream_writer, runtime.context.agent.redact)
    saying.event(
        "began",
        TurnBegan(
            conversation_id=talk["conversation_id"],
            turn_id=turn["turn_id"],
            model=model.name if model else "",
            change_id=talk["change_id"],
        ),
    )
    if model is None:
        saying.notice(NoticeKind.NO_MODEL, _NO_MODEL)
    return {"talk": talk, "turn": saying.turn()}


async def open_turn(state: State, runtime: Runtime[Course]) -> dict[str, object]:
    """An effect: the Domain counts the turn, and says whether a model may be asked."""
    turn = state["turn"]
    wishes = runtime.context.agent.model is not None and needs_model(ConverseRequest.from_binary(turn["request"]))
    try:
        turn = await record(runtime.context, state["talk"], turn, begins_turn=True, asks_model=wishes)
    except Refused as error:
        if error.reason != "BUDGET_EXHAUSTED":
            raise
        saying = Saying(turn, runtime.stream_writer, runtime.context.agent.redact)
        saying.notice(NoticeKind.BUDGET, _SPENT)
        return {"turn": {**saying.turn(), "effects": turn["effects"] + 1, "asks_model": False}}
    return {"turn": {**turn, "asks_model": wishes}}


def needs_model(request: ConverseRequest) -> bool:
    """Whether words are to be understood or found."""
    wish = request.instruction
    if wish is None:
        return False
    return wish.field == "text" or (wish.field == "draft" and wish.value.content is None)


def with_entry(talk: Talk, role: str, text: str, turn: Turn, cited: list[bytes]) -> Talk:
    """The conversation with one more entry in its transcript."""
    entry = Entry(role=role, text=text, at=turn["at"], turn_id=turn["turn_id"], cited=cited)
    return {**talk, "entries": [*talk["entries"], entry]}


def spoken(request: ConverseRequest) -> str:
    """What the person asked for, as the transcript has it."""
    wish = request.instruction
    if wish is None:
        return ""
    match wish.field:
        case "text":
            return wish.value
        case "triage" | "open_change":
            return f"/{wish.field.replace('_', '-')} {wish.value.title}"
        case "draft":
            return " ".join(filter(None, (f"/draft {wish.value.kind.name.lower()}", wish.value.wish)))
        case "analyze":
            return f"/analyze {wish.value.question}"
        case "submit" | "start":
            return f"/{wish.field} {wish.value.artifact_id}".rstrip()
        case "collect":
            return f"/collect {wish.value.work_request_id}"
        case _:
            return f"/consent {wish.value.consent_id}"
