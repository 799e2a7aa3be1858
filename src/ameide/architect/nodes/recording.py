"""Telling the Domain what a part of a turn used and read."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from langgraph.runtime import Runtime

from ameide import faults
from ameide.architect.state import State, Talk, Turn
from ameide.architect.turn import Course, Saying
from ameide.errors import AmeideError, Refused
from ameide_core_proto.agent.transformation.v1.architect_service_pb import NoticeKind
from ameide_core_proto.transformation.governance.v1.conversation_service_pb import RecordConversationProgressRequest
from ameide_core_proto.transformation.governance.v1.governance_pb import UntrustedSource
from ameide_core_proto.transformation.work.v1.work_pb import Usage

# As many as one call may name; the rest goes with the next one.
_SOURCES = 100
_KEPT = 2_000
_LAST_SECONDS = 5.0
log = logging.getLogger(__name__)


async def report(state: State, runtime: Runtime[Course]) -> dict[str, object]:
    """An effect: what was used and read since the last time. A budget that is used up ends the model's part."""
    turn, talk = state["turn"], state["talk"]
    asks = turn["asks_model"] and bool(turn["pending"])
    saying = Saying(turn, runtime.stream_writer, runtime.context.agent.redact)
    marked = with_marks(talk, turn, saying)
    try:
        after = await record(runtime.context, talk, turn, asks_model=asks)
    except Refused as error:
        if error.reason != "BUDGET_EXHAUSTED":
            raise
        saying.notice(NoticeKind.BUDGET, "The budget is used up: no model is asked any more in this turn.")
        after = {**told(turn), "asks_model": False}
    return {"turn": {**after, "said": saying.turn()["said"]}, "talk": marked}


async def record(
    course: Course, talk: Talk, turn: Turn, *, begins_turn: bool = False, asks_model: bool = False
) -> Turn:
    """The turn, once the Domain knows. Raises Refused (BUDGET_EXHAUSTED) when a model may not be asked."""
    if not (begins_turn or asks_model or turn["unreported"] or turn["unmarked"]):
        return turn
    faults.reach("architect.record.before")
    await course.clients.conversations.record_conversation_progress(
        RecordConversationProgressRequest(
            scope=course.scope,
            client_request_id=key_of(talk, turn),
            conversation_id=talk["conversation_id"],
            usage=Usage.from_binary(turn["unreported"]),
            untrusted_sources=[UntrustedSource(ref=ref) for ref in turn["unmarked"][:_SOURCES]],
            begins_turn=begins_turn,
            asks_model=asks_model,
        )
    )
    faults.reach("architect.record.after")
    return told(turn)


@asynccontextmanager
async def counted(course: Course, talk: Talk, turn: Turn) -> AsyncGenerator[Callable[[Usage], None]]:
    """Gives what is to be told of a question to a model that is broken off: its usage counts, though no answer is kept.

    It is told at once, under a key of its own: when the turn goes on, the model is asked anew.
    """
    lost: list[Usage] = []
    try:
        yield lost.append
    except asyncio.CancelledError:
        if lost and lost[0] != Usage():
            await _tell(course, talk, turn, lost[0])
        raise


async def _tell(course: Course, talk: Talk, turn: Turn, usage: Usage) -> None:
    try:
        async with asyncio.timeout(_LAST_SECONDS):
            await course.clients.conversations.record_conversation_progress(
                RecordConversationProgressRequest(
                    scope=course.scope,
                    client_request_id=f"{key_of(talk, turn)}/{uuid.uuid4().hex}",
                    conversation_id=talk["conversation_id"],
                    usage=usage,
                )
            )
    except (AmeideError, TimeoutError):
        log.warning("usage was not counted", extra={"conversation_id": talk["conversation_id"]}, exc_info=True)


def key_of(talk: Talk, turn: Turn) -> str:
    """The idempotency key of the turn's next command: the same one however often the node runs."""
    return f"{talk['conversation_id']}/{turn['turn_id']}/{turn['effects']}"


def with_marks(talk: Talk, turn: Turn, saying: Saying) -> Talk:
    """The conversation with the mark that the Domain is told of next. The first time the person is told, too."""
    new = turn["unmarked"][:_SOURCES]
    if new and not talk["marked"]:
        saying.notice(
            NoticeKind.UNTRUSTED,
            "This conversation has read text that anybody may have written; the gates of its change show that.",
        )
    return {**talk, "marked": (talk["marked"] + new)[-_KEPT:]}


def told(turn: Turn) -> Turn:
    """The turn once the Domain knows what it used and read."""
    return {
        **turn,
        "effects": turn["effects"] + 1,
        "unreported": b"",
        "unmarked": turn["unmarked"][_SOURCES:],
    }
