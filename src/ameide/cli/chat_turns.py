"""One turn after the other: sent, listened to, sent again when the agent went away, until it waits for nothing."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace

from protobuf import Oneof

from ameide.cli.chat_consent import Consents
from ameide.cli.chat_memory import Memory
from ameide.cli.chat_view import View
from ameide.cli.output import say
from ameide.cli.session import Session
from ameide.errors import AmeideError, Refused, Unauthenticated, Unreachable
from ameide_core_proto.agent.transformation.v1.architect_service_pb import (
    CollectInstruction,
    ConsentDecided,
    ConsentWanted,
    ConverseRequest,
    Effected,
    TurnBegan,
    TurnEnded,
)
from ameide_core_proto.transformation.work.v1.query_service_pb import GetWorkRequest
from ameide_core_proto.transformation.work.v1.work_pb import WorkStatus

BUSY = "TURN_RUNNING"
"""Reason of the refusal while another turn of the conversation is at work."""
_UNDER_WAY = (WorkStatus.REQUESTED, WorkStatus.STARTED)
_QUIET_SECONDS = 2.0
_PATIENCE_SECONDS = 60.0
_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 8.0


@dataclass(frozen=True)
class Subject:
    """What a conversation is about; a new one begins where no id is given."""

    change_id: str = ""
    repository_id: str = ""
    conversation_id: str = ""

    @property
    def key(self) -> str:
        """Under which the newest conversation is remembered."""
        return f"change:{self.change_id}" if self.change_id else f"repository:{self.repository_id}"


@dataclass
class Outcome:
    """What a turn came to."""

    ended: TurnEnded | None = None
    wanted: ConsentWanted | None = None
    effects: list[Effected] = field(default_factory=list[Effected])

    @property
    def waits(self) -> bool:
        """Whether it waits for a consent that nobody has given or declined."""
        return self.ended is not None and bool(self.ended.waiting_for_consent_id)

    @property
    def unfinished(self) -> bool:
        """Whether its time was used up, and it goes on when it is sent again."""
        return self.ended is not None and self.ended.unfinished


class Talk:
    """A person's side of one conversation."""

    def __init__(
        self, session: Session, subject: Subject, view: View, consents: Consents, *, read_only: bool, wait: bool
    ) -> None:
        self._session, self._view, self._consents = session, view, consents
        self._read_only, self._wait = read_only, wait
        self.subject = subject
        self.memory = Memory.of(session.settings)

    @property
    def unfinished(self) -> ConverseRequest | None:
        """The turn that was begun here and has not come to its end."""
        return self.memory.unfinished(self._place)

    async def say(self, instruction: Oneof[str, object], turn_id: str = "") -> Outcome:
        """One turn to where it waits for nothing: consents are asked for, and the result of a work is waited for.

        The same `turn_id` is the same turn, however often it is sent.
        """
        request = ConverseRequest(
            scope=self._session.scope,
            turn_id=turn_id or f"turn-{uuid.uuid4().hex}",
            conversation_id=self.subject.conversation_id,
            repository_id="" if self.subject.conversation_id else self.subject.repository_id,
            change_id="" if self.subject.conversation_id else self.subject.change_id,
            read_only=self._read_only,
            instruction=instruction,  # pyright: ignore[reportArgumentType] -- one of the fields, as its maker says
        )
        return await self.go_on(request)

    async def go_on(self, request: ConverseRequest, *, asking: bool = False) -> Outcome:
        """A turn from its beginning, or from where it was when it was last sent.

        `asking` puts every consent to the person, whatever was said beforehand.
        """
        consents = replace(self._consents, policy="ask") if asking else self._consents
        outcome = await self._send(request)
        effects = outcome.effects
        while outcome.ended is not None:
            if consent_id := outcome.ended.waiting_for_consent_id:
                if outcome.wanted is None:
                    raise Refused("the agent waits for a consent that it does not show", remedy="Ask it again")
                # Who only reads now agrees to nothing, also not to what an earlier turn waits for.
                if self._read_only or not await consents.decide(outcome.wanted):
                    break
                follows = self._following(request, consent_id, "consent_decided", ConsentDecided(consent_id=consent_id))
            elif (work := outcome.ended.waiting_for_work_request_id) and self._wait:
                await self._until_done(work)
                follows = self._following(request, work, "collect", CollectInstruction(work_request_id=work))
            else:
                break
            outcome = await self._send(follows)
            effects += outcome.effects
        outcome.effects = effects
        return outcome

    @property
    def _place(self) -> str:
        return self.subject.conversation_id or f"new {self.subject.key}"

    def _following(self, request: ConverseRequest, ref: str, name: str, value: object) -> ConverseRequest:
        """The turn that follows from another one; of the same one always the same."""
        first = request.turn_id.partition("..")[0]
        return ConverseRequest(
            scope=self._session.scope,
            turn_id=f"{first}..{ref}",
            conversation_id=self.subject.conversation_id,
            read_only=request.read_only,
            instruction=Oneof(name, value),  # pyright: ignore[reportArgumentType] -- one of the fields, by name
        )

    async def _send(self, request: ConverseRequest) -> Outcome:
        """Listen to the end. A turn whose agent goes away is sent again; nothing that had its effect is done again.

        So is one in whose course the agent's token came to its end: each time it is sent the agent gets a new one.
        """
        # One that nobody knows does not come by waiting.
        self._session.architect_address()
        self.memory.begin(self._place, request)
        clock = asyncio.get_running_loop().time
        failing: float | None = None
        pause, furthest = _PAUSE_SECONDS, 0
        # A moment of silence, such as the agent's start, is nothing to tell a person; an answer that breaks off is.
        told, shown, renewed = False, False, False
        while True:
            try:
                outcome = Outcome()
                async with contextlib.aclosing(self._events(request)) as events:
                    async for seq, happened in events:
                        shown = True
                        # What was said before is said again however often it is sent: only what is new is progress.
                        if seq > furthest:
                            failing, pause, furthest = None, _PAUSE_SECONDS, seq
                        self._take(happened, outcome)
                break
            except AmeideError as error:
                if isinstance(error, Unauthenticated) and not renewed:
                    # The person's own token has ended, too, when the next one cannot be made.
                    renewed = True
                    if shown:
                        self._view.again("The agent's token has ended; the same turn is sent again with a new one.")
                    continue
                busy = error.reason == BUSY
                if not (isinstance(error, Unreachable) or busy):
                    self.memory.end(self._place)
                    raise
                now = clock()
                if failing is None:
                    failing, told = now, False
                if not told and (shown or now - failing > _QUIET_SECONDS):
                    told, shown = True, False
                    why = "A turn is still at work" if busy else "The agent does not answer yet"
                    self._view.again(f"{why}; the same turn is sent again until it does.")
                if now - failing > _PATIENCE_SECONDS:
                    raise
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        if not outcome.waits and not outcome.unfinished:
            self.memory.end(self._place)
        return outcome

    async def _events(self, request: ConverseRequest) -> AsyncGenerator[tuple[int, Oneof[str, object]]]:
        """The events as they come, with their numbers, told to the view; it is told of silence as well."""
        async with self._session.architect() as clients, contextlib.aclosing(clients.converse(request)) as events:
            ended, coming = False, asyncio.ensure_future(anext(events, None))
            waited = 0.0
            try:
                while True:
                    done, _ = await asyncio.wait((coming,), timeout=_QUIET_SECONDS if not waited else 1.0)
                    if not done:
                        waited += 1.0 if waited else _QUIET_SECONDS
                        self._view.quiet(waited)
                        continue
                    waited, event = 0.0, coming.result()
                    if event is None:
                        break
                    self._view.show(event)
                    if event.event is not None:
                        ended = ended or event.event.field == "ended"
                        yield event.seq, event.event
                    coming = asyncio.ensure_future(anext(events, None))
            finally:
                coming.cancel()
                with contextlib.suppress(asyncio.CancelledError, AmeideError):
                    await coming
            if not ended:
                raise Unreachable("the agent stopped in the middle of a turn", remedy="`ameide status` shows what runs")

    def _take(self, happened: Oneof[str, object], outcome: Outcome) -> None:
        match happened.value:
            case TurnBegan() as began:
                self._known_as(began)
            case ConsentWanted() as wanted:
                outcome.wanted = wanted
            case Effected() as effected:
                outcome.effects.append(effected)
                if effected.change_id and not self.subject.change_id:
                    self.subject = replace(self.subject, change_id=effected.change_id)
                    self.memory.note(self.subject.key, self.subject.conversation_id)
            case TurnEnded() as ended:
                outcome.ended = ended
            case _:
                pass

    def _known_as(self, began: TurnBegan) -> None:
        """A conversation that was new has its id, and its turn is remembered under that."""
        former, unfinished = self._place, self.unfinished
        change_id = began.change_id or self.subject.change_id
        self.subject = replace(self.subject, conversation_id=began.conversation_id, change_id=change_id)
        self.memory.note(self.subject.key, began.conversation_id)
        if former != self._place and unfinished is not None:
            unfinished.conversation_id = began.conversation_id
            self.memory.end(former)
            self.memory.begin(self._place, unfinished)

    async def _until_done(self, work_request_id: str) -> None:
        """Until the work has ended, for whoever waits."""
        say(f"Waiting for {work_request_id}; Ctrl-C leaves it at work, and `/collect {work_request_id}` comes back.")
        clock = asyncio.get_running_loop().time
        began = clock()
        async with self._session.connect() as clients:
            while True:
                request = GetWorkRequest(scope=self._session.scope, work_request_id=work_request_id)
                try:
                    work = (await clients.work_queries.get_work(request)).work
                except AmeideError as error:
                    # The views follow a moment later, and a control plane may restart meanwhile.
                    if not error.retry and clock() - began > _PATIENCE_SECONDS:
                        raise
                    work = None
                if work is not None and work.status not in _UNDER_WAY:
                    return
                if clock() - began > _QUIET_SECONDS:
                    self._view.quiet(clock() - began)
                await asyncio.sleep(_PAUSE_SECONDS)
