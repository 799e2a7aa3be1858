"""Conversations with an agent: opened, moved on, attached to the change that they write to."""

from __future__ import annotations

from connectrpc.request import RequestContext

from ameide.contracts.ids import new_id
from ameide.domain.commands import budgets, consents
from ameide.domain.decisions import conversation as decisions
from ameide.domain.decisions.work_budget import need_unused, unused_of
from ameide.domain.service import Service
from ameide.domain.unit import Unit
from ameide.errors import PermissionDenied
from ameide.rpc.interceptors import Caller, current_caller
from ameide_core_proto.transformation.governance.v1.conversation_service_connect import ConversationCommandService
from ameide_core_proto.transformation.governance.v1.conversation_service_pb import (
    AskConsentRequest,
    AskConsentResponse,
    DecideConsentRequest,
    DecideConsentResponse,
    OpenConversationRequest,
    OpenConversationResponse,
    RecordConversationProgressRequest,
    RecordConversationProgressResponse,
)
from ameide_core_proto.transformation.governance.v1.governance_pb import Change, Conversation, Repository
from ameide_core_proto.transformation.work.v1.work_pb import Budget, Usage

# What an agent needs to talk for a person; its own roles bound it as well.
TALKERS = ("viewer", "requester")


class ConversationCommands(ConversationCommandService):
    """The door for conversations. Only an agent that acts for a person keeps one."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def open_conversation(
        self, request: OpenConversationRequest, _ctx: RequestContext[OpenConversationRequest, OpenConversationResponse]
    ) -> OpenConversationResponse:
        return await self._service.execute(
            _talker(), "OpenConversation", request, OpenConversationResponse, open_conversation
        )

    async def record_conversation_progress(
        self,
        request: RecordConversationProgressRequest,
        _ctx: RequestContext[RecordConversationProgressRequest, RecordConversationProgressResponse],
    ) -> RecordConversationProgressResponse:
        return await record_progress(self._service, _talker(), request)

    async def ask_consent(
        self, request: AskConsentRequest, _ctx: RequestContext[AskConsentRequest, AskConsentResponse]
    ) -> AskConsentResponse:
        return await self._service.execute(_talker(), "AskConsent", request, AskConsentResponse, consents.ask_consent)

    async def decide_consent(
        self, request: DecideConsentRequest, _ctx: RequestContext[DecideConsentRequest, DecideConsentResponse]
    ) -> DecideConsentResponse:
        return await self._service.execute(
            _person(), "DecideConsent", request, DecideConsentResponse, consents.decide_consent
        )


async def record_progress(
    service: Service, caller: Caller, command: RecordConversationProgressRequest
) -> RecordConversationProgressResponse:
    """Record what was used and read, once; then, each time anew, whether a model may be asked.

    What was used is used: it counts though the call is refused with BUDGET_EXHAUSTED, and the same call again passes
    once there is a budget.
    """
    answer = await service.execute(
        caller, "RecordConversationProgress", command, RecordConversationProgressResponse, record_conversation_progress
    )

    async def look(unit: Unit) -> Budget:
        conversation = await unit.read("conversation", command.conversation_id, Conversation)
        accounts = await budgets.accounts_of(unit, conversation)
        if command.asks_model:
            need_unused(accounts)
        return unused_of(accounts)

    answer.left = await service.perform(caller, "ReadBudgets", command.scope, look)
    return answer


async def open_conversation(unit: Unit, command: OpenConversationRequest) -> OpenConversationResponse:
    """A conversation of the agent with the person whom it acts for."""
    decisions.need_delegated(unit.caller.kind, unit.caller.on_behalf_of)
    change = await unit.read("change", command.change_id, Change) if command.change_id else None
    if command.repository_id:
        await unit.read("repository", command.repository_id, Repository)
    fact = decisions.open_conversation(command, new_id("cnv"), change, unit.scope(), unit.actor, unit.timestamp)
    unit.record(fact)
    return OpenConversationResponse(conversation=fact.conversation)


async def record_conversation_progress(
    unit: Unit, command: RecordConversationProgressRequest
) -> RecordConversationProgressResponse:
    """What a part of a turn used and read. Nobody's budget is locked: what was used cannot be refused any more."""
    conversation = await unit.lock("conversation", command.conversation_id, Conversation)
    decisions.need_own(conversation, unit.actor)
    fact = decisions.progress(conversation, command, unit.timestamp)
    if fact is None:
        return RecordConversationProgressResponse(conversation=conversation)
    unit.record(fact)
    budgets.use(unit, conversation.conversation_id, command.usage or Usage())
    return RecordConversationProgressResponse(conversation=fact.conversation)


def _talker() -> Caller:
    caller = current_caller()
    caller.need(*TALKERS)
    return caller


def _person() -> Caller:
    """Who is asked answers, by a token that may more than execute. The handler looks who that is."""
    caller = current_caller()
    if caller.only_executes:
        raise PermissionDenied("the token only executes", remedy="Use another token of yours", reason="ONLY_EXECUTES")
    return caller
