"""Whom a token stands for, as the Domain says; remembered for a moment, since clients call in quick succession."""

from __future__ import annotations

import hashlib
import time

from ameide.rpc.clients import Clients
from ameide.rpc.interceptors import Caller
from ameide_core_proto.transformation.governance.v1.access_service_pb import WhoAmIRequest
from ameide_core_proto.transformation.governance.v1.governance_pb import Principal

KNOWN_SECONDS = 5.0
_MOST = 1_000


class Guests:
    """Asks the Domain at `address`, with the token in question and no other. Refusals aren't remembered."""

    def __init__(self, address: str, *, seconds: float = KNOWN_SECONDS) -> None:
        self._address, self._seconds = address, seconds
        self._known: dict[bytes, tuple[Caller, float]] = {}

    async def authenticate(self, token: str) -> Caller:
        """The caller. Raises Unauthenticated, and Unreachable when the Domain does not answer."""
        digest, now = hashlib.sha256(token.encode()).digest(), time.monotonic()
        caller, until = self._known.get(digest, (None, 0.0))
        if caller is not None and now < until:
            return caller
        async with Clients(self._address, token) as clients:
            who = await clients.access.who_am_i(WhoAmIRequest())
        principal = who.principal or Principal()
        caller = Caller(
            principal.scope.tenant_id if principal.scope else "",
            principal.principal_id,
            principal.kind.name,
            frozenset(who.roles),
            scopes=frozenset(who.scopes),
        )
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[digest] = (caller, now + self._seconds)
        return caller
