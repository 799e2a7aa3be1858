"""Whom a token stands for, remembered for a moment: an executor or a worker sends the same one many times a second."""

from __future__ import annotations

import hashlib
import time

from ameide.domain.access import authenticate
from ameide.rpc.interceptors import Caller
from ameide.storage.db import Database

# A revocation, and other roles, count at once where they were said and within this time at every other replica.
KNOWN_SECONDS = 5.0
_MOST = 10_000


class KnownTokens:
    """Authenticates by the database, and by memory for a token that was valid a moment ago. Refusals aren't remembered.

    What is remembered is the token's hash, and never longer than the token is valid.
    """

    def __init__(self, database: Database, *, seconds: float = KNOWN_SECONDS) -> None:
        self._database = database
        self._seconds = seconds
        self._known: dict[bytes, tuple[Caller, float]] = {}
        self._forgotten = 0

    async def authenticate(self, token: str) -> Caller:
        """The caller that a bearer token stands for. Raises Unauthenticated without telling why."""
        digest = hashlib.sha256(token.encode()).digest()
        now = time.monotonic()
        caller, until = self._known.get(digest, (None, 0.0))
        if caller is not None and now < until:
            return caller
        forgotten = self._forgotten
        caller, valid = await authenticate(self._database, token)
        if forgotten != self._forgotten:
            # Read before the revocation, perhaps: good for this call, which came before it too.
            return caller
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[digest] = (caller, now + min(self._seconds, valid))
        return caller

    def forget(self) -> None:
        """Ask the database again: a token was revoked, or a principal has other roles."""
        self._forgotten += 1
        self._known.clear()
