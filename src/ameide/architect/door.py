"""Who talks to the agent: the Domain says, by the person's token and the agent's together."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ameide.errors import PermissionDenied
from ameide.rpc.clients import Clients
from ameide.rpc.interceptors import Caller
from ameide_core_proto.transformation.governance.v1.access_service_pb import WhoAmIRequest

# As the Domain's own memory: a revocation counts within this time.
KNOWN_SECONDS = 5.0
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Speaker:
    """A person at the door: who they are by their own token, and the roles that count when the agent acts for them."""

    caller: Caller
    agent: str


class Doorkeeper:
    """Authenticates by the Domain. Nothing is remembered of a token but its hash, and refusals aren't."""

    def __init__(self, address: str, tokens: Sequence[str], *, seconds: float = KNOWN_SECONDS) -> None:
        self._address = address
        self._tokens = tokens
        self._agents: dict[str, str] = {}
        self._seconds = seconds
        self._known: dict[bytes, tuple[Speaker, float]] = {}

    async def tenants(self) -> Mapping[str, str]:
        """The agent's token by tenant. Raises when the Domain does not answer or knows one of them not."""
        for token in self._tokens:
            async with Clients(self._address, token) as clients:
                me = (await clients.access.who_am_i(WhoAmIRequest())).principal
            assert me is not None
            assert me.scope is not None
            self._agents[me.scope.tenant_id] = token
        return self._agents

    async def authenticate(self, token: str) -> Caller:
        """The person that a bearer token stands for, with the roles that count.

        Raises Unauthenticated and the like, and PermissionDenied(DELEGATION_NEEDED) for a person's token that is good
        for everything.
        """
        return (await self.speaker(token)).caller

    async def speaker(self, token: str) -> Speaker:
        """As `authenticate`, with what else is known."""
        digest = hashlib.sha256(token.encode()).digest()
        now = time.monotonic()
        speaker, until = self._known.get(digest, (None, 0.0))
        if speaker is not None and now < until:
            return speaker
        speaker = await self._ask(token)
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[digest] = (speaker, now + self._seconds)
        return speaker

    async def is_admin(self, token: str) -> bool:
        """Whether the token is an admin's by itself: in that role the agent stands in for nobody."""
        async with Clients(self._address, token) as clients:
            return "admin" in (await clients.access.who_am_i(WhoAmIRequest())).roles

    def speaking_for(self, tenant_id: str, token: str) -> Clients:
        """Clients that speak as the agent for the person of that token."""
        return Clients(self._address, self._agents[tenant_id], on_behalf_of=token)

    async def _ask(self, token: str) -> Speaker:
        async with Clients(self._address, token) as clients:
            own = await clients.access.who_am_i(WhoAmIRequest())
        assert own.principal is not None
        assert own.principal.scope is not None
        tenant, person = own.principal.scope.tenant_id, own.principal.kind.name == "PERSON"
        if person and not own.scopes and not own.only_represented:
            raise PermissionDenied(
                "the agent takes no token by which it could act as you without asking",
                field="authorization",
                remedy="Make one for it by DelegateToken of the AccessService, as `ameide chat` does",
                reason="DELEGATION_NEEDED",
            )
        if tenant not in self._agents:
            raise PermissionDenied(
                "the agent has no token for this tenant", remedy="Add one to AMEIDE_ARCHITECT_TOKEN for the tenant"
            )
        roles, agent = frozenset(own.roles), ""
        if person:
            async with self.speaking_for(tenant, token) as both:
                told = await both.access.who_am_i(WhoAmIRequest())
            roles, agent = frozenset(told.roles), told.agent.principal_id if told.agent else ""
        caller = Caller(
            tenant, own.principal.principal_id, own.principal.kind.name, roles, scopes=frozenset(own.scopes)
        )
        return Speaker(caller, agent)
