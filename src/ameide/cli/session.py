"""What a command has in hand: the settings, and a way to the Domain as one principal."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

import click

from ameide import config
from ameide.cli.state import StateFolder
from ameide.config import Settings
from ameide.errors import Unauthenticated, Unreachable

# The messages and the clients take half a second to load, which `ameide up` and the like need not wait for.
if TYPE_CHECKING:
    from ameide.infra.object_store import ObjectStore
    from ameide.rpc.clients import ArchitectClients, Clients
    from ameide_core_proto.common.v1.metadata_pb import Scope
    from ameide_core_proto.common.v1.reading_pb import Citation, Page

T = TypeVar("T")
_PAGE = 500


class Listed(Protocol):
    """What every answer with a page has."""

    citations: list[Citation]
    next_page_token: str


L = TypeVar("L", bound=Listed)


@dataclass(frozen=True)
class Session:
    """One invocation of the program."""

    settings: Settings
    global_options: tuple[str, ...] = ()
    """Those options before the noun that other commands on the same installation need too."""

    @property
    def state(self) -> StateFolder:
        """The files of this installation."""
        return StateFolder(self.settings.state_dir)

    @property
    def scope(self) -> Scope:
        """The tenant that the commands speak of."""
        from ameide_core_proto.common.v1.metadata_pb import Scope

        return Scope(tenant_id=self.settings.tenant)

    def call(self, act: Callable[[Clients], Awaitable[T]], *, timeout: float = 30.0) -> T:
        """Run `act` with clients of the Domain, as this session's principal. `timeout` is per call, in seconds."""

        async def connected() -> T:
            async with self.connect(timeout=timeout) as clients:
                return await act(clients)

        return asyncio.run(connected())

    def connect(self, *, timeout: float = 30.0) -> Clients:
        """Clients of the Domain, for a command that does more in the same event loop."""
        from ameide.rpc.clients import Clients

        return Clients(self.address(), self.token(), timeout=timeout)

    def object_store(self) -> ObjectStore:
        """Where evidence lies. Raises InvalidArgument for a location that is none."""
        # Imported here: the store loads much that the other verbs need not wait for.
        from ameide.app.store import object_store

        return object_store(self.settings)

    def with_databases(self) -> Settings:
        """The settings with the ways to the database that `ameide up` recorded, where the environment names none."""
        if self.settings.database_url_app or not self.state.settings_of("control").exists():
            return self.settings
        found = config.read(file=self.state.settings_of("control"))
        if not self.state.settings_of("architect").exists():
            return found
        # What was said is no business of the control process, which therefore has no way to it.
        theirs = config.read({}, file=self.state.settings_of("architect"))
        return replace(found, database_url_architect=found.database_url_architect or theirs.database_url_architect)

    def address(self) -> str:
        """URL of the Domain's door. Raises Unreachable when none is known."""
        address = self.settings.address or self.state.address()
        if not address:
            raise Unreachable(
                f"nothing was started in {self.settings.state_dir} yet",
                remedy="Start it with `ameide up`, or set AMEIDE_ADDRESS to the control plane of your team",
            )
        return address

    def architect(self, *, timeout: float = 30.0) -> AbstractAsyncContextManager[ArchitectClients]:
        """The Architect agent of the same installation, which does not see this session's token.

        `timeout` is per call that is no stream, in seconds.
        """
        from ameide.rpc.delegating import represented

        return represented(self.architect_address(), self.address(), self.token(), timeout=timeout)

    def architect_address(self) -> str:
        """URL of the Architect agent's door. Raises Unreachable when none is known."""
        here = self.settings.address in ("", self.state.address())
        address = self.settings.architect_address or (self.state.architect_address() if here else "")
        if not address:
            raise Unreachable(
                "no Architect agent is known" + ("" if here else f" at {self.settings.address}"),
                remedy="Start it with `ameide up`, or set AMEIDE_ARCHITECT_ADDRESS to that of your team",
            )
        return address

    def token(self) -> str:
        """The bearer token. Raises Unauthenticated naming where it was looked for."""
        if self.settings.token:
            return self.settings.token
        token = self.state.token(self.settings.principal)
        if token is None:
            raise Unauthenticated(
                f"there is no token for {self.settings.principal!r} in {self.state.tokens}",
                field="token",
                remedy="Set AMEIDE_TOKEN or AMEIDE_TOKEN_FILE, or name a principal of `ameide up` with --as: "
                + (", ".join(self.state.known_principals()) or "none is there yet"),
            )
        return token


def request_id(given: str | None) -> str:
    """The idempotency key of this invocation: the given one, so that a repeated command is a replay, else a new one."""
    return given or f"cli-{uuid.uuid4().hex}"


async def every_page(fetch: Callable[[Page], Awaitable[L]], *fields: str) -> L:
    """All pages of a list as one answer: the lists named in `fields`, and the citations, are joined onto the first."""
    from ameide_core_proto.common.v1.reading_pb import Page

    first = await fetch(Page(size=_PAGE))
    token = first.next_page_token
    while token:
        following = await fetch(Page(size=_PAGE, token=token))
        for name in ("citations", *fields):
            getattr(first, name).extend(getattr(following, name))
        token = following.next_page_token
    first.next_page_token = ""
    return first


pass_session = click.make_pass_decorator(Session)
