"""From an errand to its effects: propose a command, ask, wait, act. Each effect is alone in its node."""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime
from langgraph.types import interrupt
from protobuf import Message, Oneof

from ameide import faults
from ameide.architect.effects import COMMANDS, Command, caught_up, following
from ameide.architect.nodes.beginning import spoken
from ameide.architect.nodes.messages import answered, by_form
from ameide.architect.nodes.recording import key_of
from ameide.architect.nodes.sending import outcome_of, send
from ameide.architect.state import Errand, Proposal, State, request_of
from ameide.architect.turn import Course, Saying, noted, used
from ameide.contracts.subjects import command_hash
from ameide.errors import AmeideError, Conflict, InvalidArgument, NotFound, PermissionDenied, Refused
from ameide_core_proto.agent.transformation.v1.architect_service_pb import ConsentWanted, ConverseRequest, NoticeKind
from ameide_core_proto.transformation.governance.v1.conversation_service_pb import AskConsentRequest
from ameide_core_proto.transformation.governance.v1.governance_pb import ConsentAction

_REFUSALS = (InvalidArgument, NotFound, Refused, Conflict, PermissionDenied)
_FIELDS = {action: action.name.lower() for action in COMMANDS}


async def prepare(state: State, runtime: Runtime[Course]) -> dict[str, object]:
    """Fix the next command of the errand. Reads only; what cannot be done is said to who asked for it."""
    course, errand, turn = runtime.context, _of(state), state["turn"]
    saying = Saying(turn, runtime.stream_writer, course.agent.redact)
    try:
        coming = await following(course, state, errand)
    except _REFUSALS as error:
        if not errand["call_id"] and not errand["done"]:
            raise
        return {"errand": _over(errand, course.agent.redact(f"refused: {error}"))}
    if coming is None:
        return {"errand": errand}
    for name, answer in coming.calls:
        used(saying, name, answer, course.agent.redact)
    talk, turn = noted(state["talk"], saying.turn(), [answer for _, answer in coming.calls])
    saying = Saying(turn, runtime.stream_writer, course.agent.redact)
    if coming.drafted is not None:
        saying.event("drafted", coming.drafted)
    proposal = Proposal(
        action=coming.action.value,
        summary=course.agent.redact(coming.summary)[:4096],
        command=coming.command.to_binary(),
        key="",
        consent_id="",
    )
    return {"errand": {**errand, "proposal": proposal}, "turn": saying.turn(), "talk": talk}


async def ask(state: State, runtime: Runtime[Course]) -> dict[str, object]:
    """An effect: the person is asked, at the Domain. The question binds the command's bytes."""
    course, talk, turn, errand = runtime.context, state["talk"], state["turn"], _of(state)
    proposal = errand["proposal"]
    assert proposal is not None
    command = command_of(proposal)
    asking = AskConsentRequest(
        scope=course.scope,
        client_request_id=key_of(talk, turn),
        conversation_id=talk["conversation_id"],
        action=ConsentAction(proposal["action"]),
        summary=proposal["summary"],
        subject_hash=command_hash(command),
    )
    faults.reach("architect.ask.before")
    try:
        answer = await course.clients.conversations.ask_consent(asking)
    except _REFUSALS as error:
        over = _over(errand, _why(error, course))
        return {"errand": over, "turn": {**turn, "effects": turn["effects"] + 1}}
    faults.reach("architect.ask.after")
    consent = answer.consent
    assert consent is not None
    saying = Saying(turn, runtime.stream_writer, course.agent.redact)
    shown: Any = Oneof(_FIELDS[ConsentAction(proposal["action"])], command)
    saying.event("consent_wanted", ConsentWanted(consent=consent, command=shown))
    turn = saying.turn()
    turn["effects"] += 1
    asked: Proposal = {**proposal, "consent_id": consent.consent_id, "key": key_of(talk, turn)}
    # The number of the command's own key is taken, whichever turn sends it.
    turn["effects"] += 1
    return {"turn": turn, "errand": {**errand, "proposal": asked}}


async def wait(state: State) -> dict[str, object]:
    """Stop until the next turn brings word. It has no effect, for it runs again from its beginning."""
    proposal = _of(state)["proposal"]
    assert proposal is not None
    return {"inbox": interrupt({"consent_id": proposal["consent_id"]})}


async def act(state: State, runtime: Runtime[Course]) -> dict[str, object]:
    """The effect that was agreed to. The Domain looks whether it was, in the transaction of the effect."""
    course, talk, errand = runtime.context, state["talk"], _of(state)
    proposal = errand["proposal"]
    assert proposal is not None
    saying = Saying(state["turn"], runtime.stream_writer, course.agent.redact)
    try:
        effected, talk, waiting = await send(course, talk, proposal, command_of(proposal))
    except _REFUSALS as error:
        if error.reason == "CONSENT_NOT_GIVEN":
            saying.notice(NoticeKind.WAITING, f"{proposal['consent_id']} waits for your answer.")
            return {"turn": saying.turn()}
        return {"errand": _over({**errand, "proposal": None}, _why(error, course)), "turn": saying.turn()}
    saying.event("effected", effected)
    done: Errand = {
        **errand,
        "proposal": None,
        "done": [*errand["done"], proposal["action"]],
        "outcome": [*errand["outcome"], outcome_of(effected)],
        "effects": [*errand["effects"], effected.to_binary()],
    }
    turn = saying.turn()
    return {"talk": talk, "errand": done, "turn": {**turn, "waiting_work": waiting or turn["waiting_work"]}}


async def settle(state: State, runtime: Runtime[Course]) -> dict[str, object]:
    """The errand is over: say what came of it, and tell the model if it had asked."""
    course, talk, errand = runtime.context, state["talk"], _of(state)
    await caught_up(course, talk, errand)
    told, turn = "\n".join(errand["outcome"]) or "Nothing was to be done.", state["turn"]
    saying = Saying(turn, runtime.stream_writer, course.agent.redact)
    if errand["call_id"]:
        talk = {**talk, "messages": answered(talk["messages"], [{"id": errand["call_id"]}], told)}
    elif course.agent.model is not None:
        asked = course.agent.redact(spoken(ConverseRequest.from_binary(errand["instruction"])))
        talk = {**talk, "messages": by_form(talk["messages"], asked, told)}
    wish = request_of(turn).instruction
    # A model that had asked tells it in its own words; a person who agreed hears from us what was refused.
    refused = errand["ended"] and wish is not None and wish.field == "consent_decided"
    if not errand["call_id"] or not turn["asks_model"] or refused:
        saying.pieces([f"{told}\n"])
    return {"talk": talk, "turn": saying.turn(), "errand": None}


async def stale(state: State, runtime: Runtime[Course]) -> dict[str, object]:
    """The consent that the person speaks of is not one that is waited for."""
    saying = Saying(state["turn"], runtime.stream_writer, runtime.context.agent.redact)
    saying.notice(
        NoticeKind.NOT_FOUND,
        "No command waits for that consent in this conversation: it was sent already, or set aside by another wish.",
    )
    return {"turn": saying.turn()}


def command_of(proposal: Proposal) -> Command:
    """The command as it was fixed."""
    kind: type[Message[Any]] = COMMANDS[ConsentAction(proposal["action"])]
    command: Any = kind.from_binary(proposal["command"])
    return command


def _of(state: State) -> Errand:
    errand = state["errand"]
    assert errand is not None
    return errand


def _over(errand: Errand, told: str) -> Errand:
    """The errand with nothing left to do."""
    return {**errand, "outcome": [*errand["outcome"], told], "proposal": None, "ended": True}


def _why(error: AmeideError, course: Course) -> str:
    if error.reason == "CONSENT_DECLINED":
        return "declined: the person did not agree, and nothing was done."
    return course.agent.redact(f"refused: {error}")
