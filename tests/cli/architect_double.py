"""A scripted Architect agent, and the Domain's door for consents, on one port: what the command line talks to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import contextmanager
from typing import Any

from connectrpc.request import RequestContext
from protobuf import Message, Oneof

from ameide.contracts.subjects import command_hash
from ameide.errors import Unauthenticated, Unreachable
from ameide.rpc.interceptors import ON_BEHALF_OF
from ameide.rpc.mapping import to_connect
from ameide_core_proto.agent.transformation.v1 import architect_service_pb as a
from ameide_core_proto.agent.transformation.v1.architect_service_connect import (
    ArchitectService,
    ArchitectServiceASGIApplication,
)
from ameide_core_proto.transformation.governance.v1 import access_service_pb as access
from ameide_core_proto.transformation.governance.v1 import conversation_service_pb as cs
from ameide_core_proto.transformation.governance.v1 import query_service_pb as q
from ameide_core_proto.transformation.governance.v1.access_service_connect import (
    AccessService,
    AccessServiceASGIApplication,
)
from ameide_core_proto.transformation.governance.v1.command_service_pb import OpenChangeRequest
from ameide_core_proto.transformation.governance.v1.conversation_service_connect import (
    ConversationCommandService,
    ConversationCommandServiceASGIApplication,
)
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    Consent,
    ConsentAction,
    ConsentStatus,
    Conversation,
)
from ameide_core_proto.transformation.governance.v1.query_service_connect import (
    GovernanceQueryService,
    GovernanceQueryServiceASGIApplication,
)
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact
from ameide_core_proto.transformation.work.v1 import query_service_pb as w
from ameide_core_proto.transformation.work.v1.query_service_connect import (
    WorkQueryService,
    WorkQueryServiceASGIApplication,
)
from ameide_core_proto.transformation.work.v1.work_pb import WorkRequest, WorkStatus

from .answering import answering

CONVERSATION = "cnv-1"
BREAK = "break"
"""In place of an event: the connection ends here, as when the process is killed."""
EXPIRED = "expired"
"""In place of an event: the token that the agent was given is not valid any more."""


def event(field: str, value: object) -> a.ConverseResponse:
    """One event of a turn."""
    return a.ConverseResponse(event=Oneof(field, value))  # pyright: ignore[reportArgumentType] -- a field, by its name


def ended(**fields: Any) -> a.ConverseResponse:
    """The last event of a turn."""
    return event("ended", a.TurnEnded(read_position=7, **fields))


def wanted(command: Message[Any], field: str, consent_id: str = "cns-1", **consent: Any) -> a.ConverseResponse:
    """The agent asks for a consent to a command."""
    said: dict[str, Any] = {
        "action": ConsentAction[field.upper()],
        "subject_hash": command_hash(command),
        "summary": "It asks.",
        "status": ConsentStatus.ASKED,
    }
    made = Consent(consent_id=consent_id, conversation_id=CONVERSATION, **{**said, **consent})
    return event("consent_wanted", a.ConsentWanted(consent=made, command=Oneof(field, command)))  # pyright: ignore[reportArgumentType] -- as above


Event = a.ConverseResponse | str


class ScriptedArchitect(
    ArchitectService, AccessService, ConversationCommandService, GovernanceQueryService, WorkQueryService
):
    """Says what a test has laid down: one list of events a call of Converse, in order."""

    def __init__(self) -> None:
        self.turns: Sequence[Sequence[Event]] = []
        self.asked: list[a.ConverseRequest] = []
        self.tokens: list[str] = []
        # The tokens from which others were made, in order: number n is answered with `made-n`.
        self.made_from: list[str] = []
        self.decided: list[tuple[str, cs.DecideConsentRequest]] = []
        self.consents: dict[str, Consent] = {}
        self.artifact = Artifact()
        self.conversation = Conversation(conversation_id=CONVERSATION, title="Which gates wait?")
        self.transcript = a.GetTranscriptResponse(conversation_id=CONVERSATION)
        self.forgotten: list[str] = []
        self.work = WorkStatus.STARTED
        self.looks = 0
        # How often a token may be made from the person's own before that is revoked.
        self.valid_for = 1000
        # Until this is set nothing is said.
        self.silent: threading.Event | None = None

    async def converse(
        self, request: a.ConverseRequest, ctx: RequestContext[a.ConverseRequest, a.ConverseResponse], /
    ) -> AsyncIterator[a.ConverseResponse]:
        self.asked.append(request)
        self.tokens.append(ctx.request_headers.get("authorization") or "")
        if self.silent is not None:
            assert await asyncio.to_thread(self.silent.wait, 60)
        for number, each in enumerate(self._next(), start=1):
            if each == EXPIRED:
                raise to_connect(Unauthenticated("the token of the person is not valid here", field=ON_BEHALF_OF))
            if isinstance(each, str):
                raise to_connect(Unreachable("the process was killed"))
            happened = each.event
            if happened is not None and happened.field == "consent_wanted" and happened.value.consent:
                self.consents.setdefault(happened.value.consent.consent_id, happened.value.consent)
            each.seq = number
            yield each

    async def delegate_token(
        self, request: access.DelegateTokenRequest, ctx: RequestContext[Any, Any], /
    ) -> access.DelegateTokenResponse:
        self.made_from.append(ctx.request_headers.get("authorization") or "")
        if len(self.made_from) > self.valid_for:
            raise to_connect(Unauthenticated("the token is not valid", remedy="Set AMEIDE_TOKEN"))
        return access.DelegateTokenResponse(secret=f"made-{len(self.made_from)}")

    def _next(self) -> Sequence[Event]:
        turn, *self.turns = self.turns
        return turn

    async def get_transcript(
        self, request: a.GetTranscriptRequest, _ctx: RequestContext[Any, Any], /
    ) -> a.GetTranscriptResponse:
        return self.transcript

    async def forget_conversation(
        self, request: a.ForgetConversationRequest, _ctx: RequestContext[Any, Any], /
    ) -> a.ForgetConversationResponse:
        self.forgotten.append(request.conversation_id)
        return a.ForgetConversationResponse()

    async def decide_consent(
        self, request: cs.DecideConsentRequest, ctx: RequestContext[Any, Any], /
    ) -> cs.DecideConsentResponse:
        self.decided.append((ctx.request_headers.get("authorization") or "", request))
        consent = self.consents[request.consent_id]
        consent.status = ConsentStatus.GIVEN if request.agree else ConsentStatus.DECLINED
        return cs.DecideConsentResponse(consent=consent)

    async def get_consent(
        self, request: q.GetConsentRequest, _ctx: RequestContext[Any, Any], /
    ) -> q.GetConsentResponse:
        return q.GetConsentResponse(consent=self.consents[request.consent_id])

    async def get_artifact(
        self, request: q.GetArtifactRequest, _ctx: RequestContext[Any, Any], /
    ) -> q.GetArtifactResponse:
        return q.GetArtifactResponse(artifact=self.artifact)

    async def get_change(self, request: q.GetChangeRequest, _ctx: RequestContext[Any, Any], /) -> q.GetChangeResponse:
        return q.GetChangeResponse(artifacts=[self.artifact])

    async def get_conversation(
        self, request: q.GetConversationRequest, _ctx: RequestContext[Any, Any], /
    ) -> q.GetConversationResponse:
        return q.GetConversationResponse(conversation=self.conversation, consents=list(self.consents.values()))

    async def list_conversations(
        self, request: q.ListConversationsRequest, _ctx: RequestContext[Any, Any], /
    ) -> q.ListConversationsResponse:
        return q.ListConversationsResponse(conversations=[self.conversation])

    async def get_work(self, request: w.GetWorkRequest, _ctx: RequestContext[Any, Any], /) -> w.GetWorkResponse:
        self.looks += 1
        status = self.work if self.looks < 2 else WorkStatus.SUCCEEDED
        return w.GetWorkResponse(work=WorkRequest(work_request_id=request.work_request_id, status=status))


@contextmanager
def serving(script: ScriptedArchitect) -> Generator[str]:
    """The address at which the script answers."""
    services: list[Any] = [
        application(script)
        for application in (
            ArchitectServiceASGIApplication,
            AccessServiceASGIApplication,
            ConversationCommandServiceASGIApplication,
            GovernanceQueryServiceASGIApplication,
            WorkQueryServiceASGIApplication,
        )
    ]
    with answering(services, log_level="critical") as address:
        yield address


BEGAN = event("began", a.TurnBegan(conversation_id=CONVERSATION, model="openai:gpt-5.2"))
DONE = event("effected", a.Effected(action=ConsentAction.OPEN_CHANGE, change_id="chg-1"))
OPEN = OpenChangeRequest(repository_id="orders", title="Cancel \x1b[31morders", conversation_id=CONVERSATION)
