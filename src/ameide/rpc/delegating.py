"""The agent is given a token that is made for it, so that its process never sees the one that it was made from."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from ameide.rpc.clients import ArchitectClients, Clients
from ameide_core_proto.transformation.governance.v1.access_service_pb import (
    DelegateTokenRequest,
    DelegateTokenResponse,
)

# For so long a token with scopes is used, which lives for an hour.
_USED_SECONDS = 300.0


async def delegated(
    domain: str, token: str, scopes: Sequence[str] = (), *, timeout: float = 10.0
) -> DelegateTokenResponse:
    """A token made from `token` at the Domain, for an hour at most: for being represented, or for these scopes.

    Raises Unauthenticated when `token` is not valid, PermissionDenied when none can be made from it.
    """
    async with Clients(domain, token, timeout=timeout) as clients:
        return await clients.access.delegate_token(DelegateTokenRequest(scopes=list(scopes)))


@asynccontextmanager
async def represented(
    architect: str, domain: str, token: str, *, timeout: float = 10.0
) -> AsyncGenerator[ArchitectClients]:
    """The agent at the address `architect`, by a token that is good for being represented and was made just now.

    `timeout` is per call that is no stream, in seconds. Raises what `delegated` raises.
    """
    made = await delegated(domain, token, timeout=timeout)
    async with ArchitectClients(architect, made.secret, timeout=timeout) as clients:
        yield clients


class Narrowed:
    """A token for `scopes`, made from one that is good for more, for whoever calls again and again."""

    def __init__(self, domain: str, token: str, scopes: Sequence[str]) -> None:
        self._domain, self._token, self._scopes = domain, token, scopes
        self._secret, self._made = "", 0.0

    async def token(self) -> str:
        """One that was made a few minutes ago at most. Raises what `delegated` raises."""
        # By the clock on the wall, since that goes on while a laptop sleeps.
        now = time.time()
        if not self._secret or not 0 <= now - self._made < _USED_SECONDS:
            self._secret = (await delegated(self._domain, self._token, self._scopes)).secret
            self._made = now
        return self._secret
