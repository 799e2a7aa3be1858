"""Running a turn: a new one, or one that goes on where it was. What was said before is said again first."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from langgraph.types import Command
from protobuf import Oneof

from ameide import faults
from ameide.architect.agent import Limits
from ameide.architect.graph import EFFECTS, Snapshot
from ameide.architect.nodes.beginning import spoken
from ameide.architect.state import AGENT, PERSON, State, Talk, Turn, new_talk, new_turn, said_in
from ameide.architect.threads import Threads
from ameide.architect.turn import Course
from ameide.errors import AmeideError, Conflict
from ameide_core_proto.agent.transformation.v1.architect_service_pb import (
    CitedRecord,
    ConverseRequest,
    ConverseResponse,
    Notice,
    NoticeKind,
    TurnBegan,
    TurnEnded,
)
from ameide_core_proto.transformation.governance.v1.governance_pb import Conversation

log = logging.getLogger(__name__)
_WAITING = 64
_LIMIT = "The turn takes longer than {} seconds. What it reached is kept; send it again and it goes on from there."


@dataclass(frozen=True, slots=True)
class _Over:
    error: BaseException | None = None


class Turns:
    """Turns of one tenant's conversations. The caller holds the thread."""

    def __init__(self, threads: Threads, limits: Limits) -> None:
        self._threads = threads
        self._limits = limits

    async def run(
        self, course: Course, conversation: Conversation, request: ConverseRequest
    ) -> AsyncGenerator[ConverseResponse]:
        """The events of the turn, numbered from 1.

        Raises Conflict when the turn's id stands for another request.
        """
        events: asyncio.Queue[ConverseResponse | _Over] = asyncio.Queue(_WAITING)
        # A task of its own, so that its time is limited whatever the listener does meanwhile.
        task = asyncio.create_task(self._drive(course, conversation, request, events))
        number = 0
        try:
            while isinstance(event := await events.get(), ConverseResponse):
                number += 1
                event.seq = number
                yield event
            if event.error is not None:
                raise event.error
        finally:
            # Nobody listens any more: what was reached is in the checkpoint, and the same turn goes on from there.
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _drive(
        self,
        course: Course,
        conversation: Conversation,
        request: ConverseRequest,
        events: asyncio.Queue[ConverseResponse | _Over],
    ) -> None:
        over, limit = _Over(), asyncio.timeout(self._limits.seconds)
        try:
            async with limit:
                await self._go(course, conversation, request, events)
        except TimeoutError as error:
            if not limit.expired():
                over = _Over(error)
            for event in _out_of_time(self._limits.seconds) if limit.expired() else ():
                await events.put(event)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            over = _Over(error)
        await events.put(over)

    async def _go(
        self,
        course: Course,
        conversation: Conversation,
        request: ConverseRequest,
        events: asyncio.Queue[ConverseResponse | _Over],
    ) -> None:
        name = conversation.conversation_id
        at = await self._threads.at(name)
        turn: Turn | None = at.values.get("turn")
        if turn is not None and turn["turn_id"] == request.turn_id:
            _need_same(turn, request)
            for event in said_in(turn):
                await events.put(event)
            if not turn["ended"]:
                await self._stream(course, name, None, events)
        elif past := _past(course, at, request):
            for event in past:
                await events.put(event)
        else:
            if turn is not None and not turn["ended"] and (left := [node for node in at.next if node in EFFECTS]):
                await self._make_good(course, name, left)
                at = await self._threads.at(name)
            await self._stream(course, name, _input(at, conversation, request), events)
        faults.reach("architect.turn.after")
        await self._threads.shorten(name)

    async def _make_good(self, course: Course, name: str, left: Sequence[str]) -> None:
        """An effect that was agreed to is not lost because its turn was; one that is refused shuts no thread."""
        try:
            await self._stream(course, name, None, None, until=left)
        except AmeideError as error:
            if error.retry:
                raise
            log.warning(
                "what a turn left was refused", extra={"conversation_id": name, "nodes": left, "reason": error.reason}
            )

    async def _stream(
        self,
        course: Course,
        conversation_id: str,
        given: object,
        events: asyncio.Queue[ConverseResponse | _Over] | None,
        *,
        until: Sequence[str] = (),
    ) -> None:
        stream = self._threads.graph.astream(
            given,
            self._threads.config(conversation_id),
            context=course,
            stream_mode="custom",
            durability="sync",
            interrupt_after=list(until) or None,
        )
        async for event in stream:
            if events is not None and isinstance(event, ConverseResponse):
                await events.put(event)


def _input(at: Snapshot, conversation: Conversation, request: ConverseRequest) -> object:
    """What a new turn puts into the thread, which may be new itself, or wait for word of a consent."""
    if at.interrupts:
        return Command(resume=request.to_binary())
    talk: Talk | None = at.values.get("talk")
    # A first turn that was broken off before it began is in the thread as what was given, and as nothing that was done.
    if talk is not None and at.values["turn"]["turn_id"]:
        return {"inbox": request.to_binary()}
    return State(
        inbox=request.to_binary(),
        talk=talk or new_talk(conversation.conversation_id, conversation.repository_id, conversation.change_id),
        turn=new_turn(ConverseRequest()),
        errand=None,
    )


def _need_same(turn: Turn, request: ConverseRequest) -> None:
    before = ConverseRequest.from_binary(turn["request"])
    # The first time the conversation had no id yet.
    if (before.instruction, before.read_only) != (request.instruction, request.read_only):
        raise other_turn(request)


def _past(course: Course, at: Snapshot, request: ConverseRequest) -> list[ConverseResponse]:
    """What the transcript holds of a turn that others followed; nothing of a turn that is new.

    It is not had again: its keys stand for what it did then.
    """
    talk: Talk | None = at.values.get("talk")
    entries = [one for one in talk["entries"] if one["turn_id"] == request.turn_id] if talk is not None else []
    if talk is None or not entries:
        return []
    if any(one["text"] != course.agent.redact(spoken(request)) for one in entries if one["role"] == PERSON):
        raise other_turn(request)
    model = course.agent.model
    began = TurnBegan(
        conversation_id=talk["conversation_id"],
        turn_id=request.turn_id,
        model=model.name if model else "",
        change_id=talk["change_id"],
    )
    said: list[ConverseResponse] = [ConverseResponse(event=Oneof("began", began))]
    for entry in entries:
        if entry["role"] == AGENT:
            said += [ConverseResponse(event=Oneof("cited", CitedRecord.from_binary(one))) for one in entry["cited"]]
            said += [ConverseResponse(event=Oneof("text", entry["text"]))] if entry["text"] else []
    ended = TurnEnded(read_position=talk["position"], untrusted_count=len(talk["marked"]))
    return [*said, ConverseResponse(event=Oneof("ended", ended))]


def other_turn(request: ConverseRequest) -> Conflict:
    """The turn's id stands for another request."""
    return Conflict(
        f"{request.turn_id} asked for something else",
        field="turn_id",
        remedy="Send the same instruction, or take a new turn_id",
    )


def _out_of_time(seconds: float) -> list[ConverseResponse]:
    notice = Notice(kind=NoticeKind.LIMIT, text=_LIMIT.format(round(seconds)))
    return [
        ConverseResponse(event=Oneof("notice", notice)),
        ConverseResponse(event=Oneof("ended", TurnEnded(unfinished=True))),
    ]
