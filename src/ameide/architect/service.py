"""The agent's door: turns as streams, what was said, and what the agent works with."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing

from connectrpc.request import RequestContext
from protobuf import Oneof

from ameide import faults
from ameide.architect.agent import Agent
from ameide.architect.door import Doorkeeper
from ameide.architect.state import transcript_of
from ameide.architect.threads import Threads
from ameide.architect.tools import registry
from ameide.architect.turn import Course
from ameide.architect.turns import Turns, other_turn
from ameide.errors import Conflict, InvalidArgument, LimitReached, NotFound, PermissionDenied
from ameide.rpc.interceptors import Caller, current_caller, token_of
from ameide.rpc.secrets_at_the_door import need_none
from ameide_core_proto.agent.transformation.v1.architect_service_connect import ArchitectService
from ameide_core_proto.agent.transformation.v1.architect_service_pb import (
    AnalyzeInstruction,
    ConverseRequest,
    ConverseResponse,
    DraftInstruction,
    ForgetConversationRequest,
    ForgetConversationResponse,
    GetArchitectRequest,
    GetArchitectResponse,
    GetTranscriptRequest,
    GetTranscriptResponse,
)
from ameide_core_proto.common.v1.metadata_pb import Scope
from ameide_core_proto.transformation.governance.v1.conversation_service_pb import OpenConversationRequest
from ameide_core_proto.transformation.governance.v1.governance_pb import Conversation
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetConversationRequest

READERS, PROPOSERS = ("viewer", "requester"), ("requester",)
# What a turn may be that has no effect.
_ONLY_READ = frozenset({"text", "collect"})
_TITLES = {
    "triage": "Triage",
    "draft": "Draft",
    "submit": "Submission",
    "analyze": "Analysis",
    "start": "Run",
    "open_change": "New change",
}


class Architect(ArchitectService):
    """Serves people; each turn runs on clients that speak for the person whose token came with it."""

    def __init__(self, agent: Agent, doorkeeper: Doorkeeper, threads: Mapping[str, Threads]) -> None:
        self._agent = agent
        self._doorkeeper = doorkeeper
        self._threads = threads
        self._running: Counter[tuple[str, str]] = Counter()

    async def converse(
        self, request: ConverseRequest, ctx: RequestContext[ConverseRequest, ConverseResponse]
    ) -> AsyncGenerator[ConverseResponse]:
        caller = current_caller()
        _check(caller, request)
        token = token_of(ctx.request_headers.get("authorization") or "")
        whose, limits = (caller.tenant_id, caller.principal_id), self._agent.limits
        if self._running.total() >= limits.turns or self._running[whose] >= limits.turns_of_one:
            raise LimitReached("too many turns are going on at once", remedy="Try again when one of them has ended")
        self._running[whose] += 1
        try:
            async with aclosing(self.turn(caller, token, request)) as events:
                async for event in events:
                    yield event
        finally:
            self._running[whose] -= 1
            self._running += Counter()

    async def turn(self, caller: Caller, token: str, request: ConverseRequest) -> AsyncGenerator[ConverseResponse]:
        """One turn of a person whose token that is; the roles were checked.

        Raises InvalidArgument for a form that holds a credential, before anything of the turn is kept.
        """
        request = _clean(request, self._agent.redact)
        # Now, not when the command is sent: until then the form lies in the thread.
        need_none(request)
        threads = self._of(caller)
        scope = Scope(tenant_id=caller.tenant_id)
        async with self._doorkeeper.speaking_for(caller.tenant_id, token) as clients:
            course = Course(self._agent, clients, scope, caller.principal_id, caller.roles)
            conversation = await self._conversation(course, request)
            # Held before its state is looked at: of two turns at once the second is refused.
            async with threads.held(conversation.conversation_id, caller.principal_id) as held:
                turns = Turns(held, self._agent.limits)
                async with aclosing(turns.run(course, conversation, request)) as events:
                    async for event in events:
                        yield event

    async def get_transcript(
        self, request: GetTranscriptRequest, _ctx: RequestContext[GetTranscriptRequest, GetTranscriptResponse]
    ) -> GetTranscriptResponse:
        caller = current_caller()
        caller.need(*READERS)
        at = await self._of(caller).at(request.conversation_id)
        if (talk := at.values.get("talk")) is None:
            raise _no_words(request.conversation_id)
        return GetTranscriptResponse(
            conversation_id=request.conversation_id, summary=talk["summary"], entries=transcript_of(talk)
        )

    async def forget_conversation(
        self,
        request: ForgetConversationRequest,
        ctx: RequestContext[ForgetConversationRequest, ForgetConversationResponse],
    ) -> ForgetConversationResponse:
        caller = current_caller()
        caller.need(*READERS)
        store = self._of(caller).store
        person = await store.person(request.conversation_id)
        if not person:
            raise _no_words(request.conversation_id)
        token = token_of(ctx.request_headers.get("authorization") or "")
        if person != caller.principal_id and not await self._doorkeeper.is_admin(token):
            raise PermissionDenied(
                f"{request.conversation_id} is a conversation of {person}", remedy="Ask that person, or an admin"
            )
        async with store.hold(request.conversation_id):
            await store.forget(request.conversation_id)
        return ForgetConversationResponse()

    async def get_architect(
        self, _request: GetArchitectRequest, _ctx: RequestContext[GetArchitectRequest, GetArchitectResponse]
    ) -> GetArchitectResponse:
        caller = current_caller()
        model = self._agent.model
        return GetArchitectResponse(
            model=model.name if model else "",
            fallback_models=list(self._agent.fallbacks),
            tools=[tool.name for tool in registry.granted(caller.roles)],
        )

    async def _conversation(self, course: Course, request: ConverseRequest) -> Conversation:
        if not request.conversation_id:
            return await _opened(course, request)
        # Words are kept under the conversation's person, so the read model need not have come so far.
        person = await self._threads[course.scope.tenant_id].store.person(request.conversation_id)
        at = await self._threads[course.scope.tenant_id].at(request.conversation_id)
        # A first turn that was killed early left the person's name, and nothing of what it was about.
        if not person or at.values.get("talk") is None:
            found = await course.clients.queries.get_conversation(
                GetConversationRequest(scope=course.scope, conversation_id=request.conversation_id)
            )
            assert found.conversation is not None
            conversation = found.conversation
            person = conversation.opened_by.on_behalf_of if conversation.opened_by else ""
        else:
            conversation = Conversation(conversation_id=request.conversation_id)
        if person != course.person:
            raise PermissionDenied(
                f"{request.conversation_id} is the conversation of somebody else",
                field="conversation_id",
                remedy="Begin a conversation of your own; its transcript can be read by GetTranscript",
                reason="NOT_YOUR_CONVERSATION",
            )
        return conversation

    def _of(self, caller: Caller) -> Threads:
        return self._threads[caller.tenant_id]


async def _opened(course: Course, request: ConverseRequest) -> Conversation:
    """The conversation that this turn begins; the same one when the turn is sent again."""
    faults.reach("architect.open.before")
    command = OpenConversationRequest(
        scope=course.scope,
        # Of the person's own: nobody comes into a conversation by guessing a turn.
        client_request_id=f"{course.person}/{request.turn_id}/open",
        repository_id=request.repository_id,
        change_id=request.change_id,
        title=_title(request),
    )
    try:
        answer = await course.clients.conversations.open_conversation(command)
    except Conflict as error:
        raise other_turn(request) from error
    faults.reach("architect.open.after")
    assert answer.conversation is not None
    return answer.conversation


def _title(request: ConverseRequest) -> str:
    """What it is about, in none of the person's words: the Domain's records are kept when those are forgotten."""
    begins = _TITLES.get(request.instruction.field if request.instruction is not None else "", "Conversation")
    about = request.change_id or request.repository_id
    return f"{begins} about {about}" if about else begins


def _check(caller: Caller, request: ConverseRequest) -> None:
    caller.need(*READERS)
    asked = request.instruction.field if request.instruction is not None else ""
    if asked in _ONLY_READ:
        return
    if request.read_only:
        raise InvalidArgument(
            f"{asked} comes to a command", field="read_only", remedy="Leave it out, or ask by a text for what is known"
        )
    caller.need(*PROPOSERS)


def _clean(request: ConverseRequest, redact: Callable[[str], str]) -> ConverseRequest:
    """The request with its words masked. What stands in a command as it was typed is not changed."""
    clean = ConverseRequest.from_binary(request.to_binary())
    wish = clean.instruction
    if wish is not None and wish.field == "text":
        clean.instruction = Oneof("text", redact(wish.value))
    elif wish is not None and isinstance(wish.value, DraftInstruction):
        wish.value.wish = redact(wish.value.wish)
    elif wish is not None and isinstance(wish.value, AnalyzeInstruction):
        wish.value.question = redact(wish.value.question)
    return clean


def _no_words(conversation_id: str) -> NotFound:
    return NotFound(
        f"nothing is kept of what was said in {conversation_id}",
        remedy="`ameide conversation list` names the conversations; words are kept for AMEIDE_ARCHITECT_RETENTION_DAYS",
    )
