"""The beginning of a turn: what was asked goes into the conversation, and the Domain is told of the turn."""

from __future__ import annotations

from langgraph.runtime import Runtime

from ameide.architect.effects import subject_of
from ameide.architect.nodes.messages import answered, from_person
from ameide.architect.nodes.recording import record, told, with_marks
from ameide.architect.state import AGENT, PERSON, Entry, Errand, State, Talk, Turn, new_errand, new_turn
from ameide.architect.turn import Course, Saying
from ameide.errors import Refused
from ameide_core_proto.agent.transformation.v1.architect_service_pb import (
    ConsentDecided,
    ConverseRequest,
    DraftInstruction,
    NoticeKind,
    TurnBegan,
)

_NO_MODEL = "No language model is configured: what follows comes from the records and from templates alone."
_SPENT = "The budget is used up, so no model is asked: what follows comes from the records and from templates alone."


async def begin(state: State, runtime: Runtime[Course]) -> dict[str, object]:
    """Take the request from the inbox. A turn that never ended leaves what it said in the transcript."""
    course, request = runtime.context, ConverseRequest.from_binary(state["inbox"])
    turn, former = new_turn(request), state["turn"]
    talk = await subject_of(course, state["talk"])
    # What the Domain was not told of is told now: the messages of a turn that broke off stay, and their mark with them.
    turn["unmarked"], turn["unreported"] = former["unmarked"], former["unreported"]
    if former["turn_id"] and not former["ended"]:
        talk = with_entry(talk, AGENT, former["text"] or "(The turn was broken off.)", former, former["cited"])
        talk["messages"] = answered(talk["messages"], former["pending"], "not run: the turn was broken off")
    talk = with_entry(talk, PERSON, course.agent.redact(spoken(request)), turn, [])
    model = course.agent.model
    saying = Saying(turn, runtime.stream_writer, course.agent.redact)
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
    errand = state["errand"]
    if errand is not None and not _goes_on(errand, request):
        came = "\n".join(errand["outcome"])
        if errand["call_id"]:
            rest = f"{came}\n" if came else "Nothing was done. "
            told_model = f"{rest}The person asked for something else instead of going on with it."
            talk["messages"] = answered(talk["messages"], [{"id": errand["call_id"]}], told_model)
        if came:
            saying.pieces([f"{came}\n\n"])
        if errand["proposal"] is not None:
            saying.notice(NoticeKind.WAITING, f"{errand['proposal']['summary']}: set aside, it was not done.")
        errand = None
    if errand is None:
        errand = _errand(request)
    else:
        # What a person asked for is bounded over all the consents that it takes.
        turn["calls"] = former["calls"]
    if model is not None and needs_model(request):
        # Made here and not where the model is asked: that may be done again.
        message = from_person(course.agent.redact(_in_words(request)))
        talk["messages"] = [*talk["messages"], message]
    return {"talk": talk, "turn": saying.turn(), "errand": errand}


def _goes_on(errand: Errand, request: ConverseRequest) -> bool:
    wish, proposal = request.instruction, errand["proposal"]
    if wish is None or proposal is None or not isinstance(wish.value, ConsentDecided):
        return False
    return wish.value.consent_id == proposal["consent_id"]


def _errand(request: ConverseRequest) -> Errand | None:
    """What is asked for by form comes to commands, with a model's help or without."""
    asked = request.instruction.field if request.instruction is not None else ""
    return None if asked in ("", "text", "collect", "consent_decided") else new_errand(request.to_binary())


def _in_words(request: ConverseRequest) -> str:
    """What the model is told."""
    wish = request.instruction
    if wish is not None and isinstance(wish.value, DraftInstruction):
        what = wish.value.kind.name.lower().replace("_", " ")
        verb = f"Revise {wish.value.artifact_id}, a" if wish.value.artifact_id else "Draft a"
        return f"{verb} {what}, and propose it by the tool for that. What I wish for: {wish.value.wish}"
    return spoken(request)


async def open_turn(state: State, runtime: Runtime[Course]) -> dict[str, object]:
    """An effect: the Domain counts the turn, and says whether a model may be asked."""
    turn, talk, errand = state["turn"], state["talk"], state["errand"]
    saying = Saying(turn, runtime.stream_writer, runtime.context.agent.redact)
    marked = with_marks(talk, turn, saying)
    # What the model had asked for is told to it when it is settled.
    asked = needs_model(ConverseRequest.from_binary(turn["request"])) or bool(errand and errand["call_id"])
    wishes = runtime.context.agent.model is not None and asked
    saying = Saying(turn, runtime.stream_writer, runtime.context.agent.redact)
    try:
        after = await record(runtime.context, talk, turn, begins_turn=True, asks_model=wishes)
    except Refused as error:
        if error.reason != "BUDGET_EXHAUSTED":
            raise
        saying.notice(NoticeKind.BUDGET, _SPENT)
        return {"talk": marked, "turn": {**told(turn), "said": saying.turn()["said"], "asks_model": False}}
    # A draft that the model makes comes as its own proposal.
    by_model = wishes and errand is not None and errand["proposal"] is None
    turn = {**after, "said": saying.turn()["said"], "asks_model": wishes}
    return {"talk": marked, "turn": turn, **({"errand": None} if by_model else {})}


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
