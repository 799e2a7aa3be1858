"""The rig's client: sends each request until it is answered, under one key, and notes on disk what was acknowledged."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable
from copy import deepcopy
from types import TracebackType
from typing import Any, Self, TypeVar

from ameide.errors import AmeideError
from ameide.rpc.clients import Clients
from ameide_core_proto.common.v1.metadata_pb import Scope
from tests.faults.rig.folder import Acknowledged, Kind
from tests.faults.rig.installation import Rig
from tests.faults.rig.patience import pause

PRINCIPALS = ("owner", "requester", "approver", "author", "verifier")
# The agent, in calls that it makes for the requester.
AGENT = "architect for requester"
Q = TypeVar("Q")
A = TypeVar("A")


class RigClient:
    """All principals of a rig. `twice` is the share of requests that are sent twice at once, as `chance` has it.

    `contradictions` are answers to one request that differ.
    """

    def __init__(self, rig: Rig, *, twice: float, chance: random.Random) -> None:
        address = rig.settings.address
        self._by = {name: Clients(address, rig.token(name)) for name in PRINCIPALS}
        self._by[AGENT] = Clients(address, rig.token("architect"), on_behalf_of=rig.token("requester"))
        self.rig = rig
        self._twice = twice
        self._chance = chance
        self.contradictions: list[str] = []
        self.retries = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for clients in self._by.values():
            await clients.close()

    @property
    def scope(self) -> Scope:
        """The tenant of the rig."""
        return Scope(tenant_id=self.rig.settings.tenant)

    def by(self, principal: str) -> Clients:
        """The services as one principal."""
        return self._by[principal]

    async def say(self, call: Callable[[Q], Awaitable[A]], request: Q) -> A:
        """The answer, however often it has to be asked for. Raises what the Domain refuses."""
        keyed = bool(getattr(request, "client_request_id", ""))
        if not keyed or self._chance.random() >= self._twice:
            return await self._until_answered(call, request)
        first, second = await asyncio.gather(self._until_answered(call, request), self._until_answered(call, request))
        if _without_mark(first) != _without_mark(second):
            self.contradictions.append(f"{request}: {first} against {second}")
        return first

    async def command(
        self, kind: Kind, call: Callable[[Any], Awaitable[A]], request: Any, id_of: Callable[[A], str]
    ) -> A:
        """Say it and note the answer, so that it can be asked for afterwards."""
        answer = await self.say(call, request)
        key: str = request.client_request_id
        self.rig.folder.acknowledge(Acknowledged(kind, id_of(answer), key, self.rig.settings.tenant))
        return answer

    async def _until_answered(self, call: Callable[[Q], Awaitable[A]], request: Q) -> A:
        while True:
            try:
                return await call(request)
            except AmeideError as error:
                if not error.retry:
                    raise
                self.retries += 1
            await pause()


def key() -> str:
    """A new client_request_id or claim_id."""
    return uuid.uuid4().hex


def _without_mark(answer: Any) -> bytes:
    plain = deepcopy(answer)
    if hasattr(plain, "idempotent_replay"):
        plain.idempotent_replay = False
    return plain.to_binary()
