"""Whom a token stands for, as the Domain says; remembered for a moment, since clients call in quick succession."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection

from ameide.errors import PermissionDenied
from ameide.rpc.clients import Clients
from ameide.rpc.interceptors import Caller
from ameide_core_proto.transformation.governance.v1.access_service_pb import WhoAmIRequest
from ameide_core_proto.transformation.governance.v1.governance_pb import Principal

KNOWN_SECONDS = 5.0
_MOST = 1_000


class Guests:
    """Asks the Domain at `address`, with the token in question and no other. Refusals aren't remembered.

    Guests are of the agent's own `tenants`: repositories are read with credentials that are there for those.
    """

    def __init__(self, address: str, tenants: Collection[str], *, seconds: float = KNOWN_SECONDS) -> None:
        self._address, self._tenants, self._seconds = address, frozenset(tenants), seconds
        self._known: dict[bytes, tuple[Caller, float]] = {}

    async def authenticate(self, token: str) -> Caller:
        """The caller. Raises Unauthenticated, PermissionDenied, and Unreachable when the Domain does not answer."""
        digest, now = hashlib.sha256(token.encode()).digest(), time.monotonic()
        caller, until = self._known.get(digest, (None, 0.0))
        if caller is not None and now < until:
            return caller
        async with Clients(self._address, token) as clients:
            who = await clients.access.who_am_i(WhoAmIRequest())
        if who.only_represented:
            raise PermissionDenied(
                "the token is good for being represented, and tools are called by a token of one's own",
                field="authorization",
                remedy="Use a token with scopes: `ameide token create NAME --scope read --scope propose`",
                reason="ONLY_REPRESENTED",
            )
        principal = who.principal or Principal()
        caller = Caller(
            principal.scope.tenant_id if principal.scope else "",
            principal.principal_id,
            principal.kind.name,
            frozenset(who.roles),
            scopes=frozenset(who.scopes),
        )
        if caller.tenant_id not in self._tenants:
            raise PermissionDenied(
                "the agent has no token for this tenant", remedy="Add one to AMEIDE_ARCHITECT_TOKEN for the tenant"
            )
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[digest] = (caller, now + self._seconds)
        return caller
