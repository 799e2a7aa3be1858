"""Server side of every call: who calls, is the request valid, which error goes out."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from connectrpc.errors import ConnectError
from connectrpc.request import RequestContext
from protobuf import Message

from ameide.errors import AmeideError, Internal, PermissionDenied, Unauthenticated
from ameide.logs import bound
from ameide.rpc import scopes, secrets_at_the_door, validation
from ameide.rpc.mapping import to_connect
from ameide.rpc.traces import attributes_of, is_traced
from ameide.telemetry import tracing
from ameide.telemetry.context import NO_TRACE, TraceContext

REQ = TypeVar("REQ")
RES = TypeVar("RES")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """The authenticated principal of a call. `queues` are those that its token may serve."""

    tenant_id: str
    principal_id: str
    kind: str
    roles: frozenset[str]
    queues: frozenset[str] = field(default_factory=frozenset[str])
    # The token is one for executors outside: its evidence comes through the gateway.
    only_executes: bool = False
    # What the token may be used for at most (`ameide.rpc.scopes`); empty: all that the roles admit.
    scopes: frozenset[str] = field(default_factory=frozenset[str])
    # The trace that the call belongs to; empty when it names none.
    trace: TraceContext = NO_TRACE
    # The person whom the principal, an agent, acts for in this call; empty when it speaks for itself.
    on_behalf_of: str = ""
    # The principal's own token by its id; empty for one that was made from another.
    token_id: str = ""
    # The token is good for being represented by an agent and for nothing by itself.
    only_represented: bool = False

    def need(self, *roles: str) -> None:
        """Raises PermissionDenied unless the principal has one of the roles. Admin is neither executor nor process."""
        if not any(self._may(role) for role in roles):
            who = f"{self.principal_id} for {self.on_behalf_of}" if self.on_behalf_of else self.principal_id
            raise PermissionDenied(
                f"{who} has none of the roles {', '.join(sorted(roles))}",
                remedy="Ask an admin to admit the principal with one of them"
                + ("; what an agent does for a person needs it of both" if self.on_behalf_of else ""),
            )

    def acting_for(self, person: Caller) -> Caller:
        """This agent in a call that it makes for a person: it may what both of them may, and serves no queue.

        For another agent, which asks it something, it may only read.

        Raises PermissionDenied(NOT_AN_AGENT, NOT_A_PERSON) and Unauthenticated for a token of another tenant.
        """
        if self.kind != "AGENT" or self.only_executes:
            raise PermissionDenied(
                f"{self.principal_id} is no agent and acts for nobody",
                field=ON_BEHALF_OF,
                remedy="Leave the header out, or call with an agent's token",
                reason="NOT_AN_AGENT",
            )
        if person.tenant_id != self.tenant_id:
            raise _not_theirs()
        theirs = person.kind == "PERSON" or (person.kind == "AGENT" and person.principal_id != self.principal_id)
        if not theirs or person.only_executes:
            raise PermissionDenied(
                "an agent acts for people, and answers other agents, by a token that does more than execute",
                field=ON_BEHALF_OF,
                remedy="Name the token of a person, or of another agent that asks",
                reason="NOT_A_PERSON",
            )
        limits = [token.scopes for token in (self, person) if token.scopes]
        if person.kind == "AGENT":
            # It cannot agree to anything, so nothing is done for it.
            limits.append(frozenset({scopes.READ}))
        allowed = frozenset[str].intersection(*limits) if limits else frozenset[str]()
        if limits and not allowed:
            raise PermissionDenied(
                "the scopes of the two tokens have nothing in common",
                field=ON_BEHALF_OF,
                remedy="Name a token with other scopes, or without any; for an agent it takes `read`",
                reason=scopes.REASON,
            )
        both = {role for role in self.roles | person.roles if self._may(role) and person._may(role)}
        return replace(
            self,
            roles=frozenset(both - _NOT_FOR_OTHERS),
            queues=frozenset(),
            scopes=allowed,
            on_behalf_of=person.principal_id,
        )

    def _may(self, role: str) -> bool:
        return role in self.roles or ("admin" in self.roles and role not in ("executor", "process"))


# The header in which an agent brings the token of the person for whom it calls, as `Bearer …`.
ON_BEHALF_OF = "ameide-on-behalf-of"
# Whoever has this role has the others only in calls for somebody.
REPRESENTATIVE = "representative"
# Nobody hands these on: access to the installation, and what executors and the process say of themselves.
_NOT_FOR_OTHERS = frozenset({"admin", "executor", "process", REPRESENTATIVE})

Authenticate = Callable[[str], Awaitable[Caller]]
_caller: ContextVar[Caller | None] = ContextVar("ameide_caller", default=None)


def current_caller() -> Caller:
    """The caller of the request being served. Raises Unauthenticated outside of one."""
    caller = _caller.get()
    if caller is None:
        raise Unauthenticated("the call has no caller", remedy="Send a bearer token")
    return caller


def token_of(header: str) -> str:
    """The bearer token in an `authorization` header. Raises Unauthenticated when there is none."""
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("no bearer token", remedy="Set AMEIDE_TOKEN or AMEIDE_TOKEN_FILE")
    return token.strip()


async def caller_of(
    authenticate: Authenticate, header: Callable[[str], str | None], *, for_others: bool, asks_who: bool = False
) -> Caller:
    """Who calls, by the headers of a call: a principal of its own, or an agent for a person where `for_others` says so.

    A representative that calls for nobody has no role. A token that is good for being represented is an `authorization`
    where it `asks_who` it stands for alone. Raises Unauthenticated, and PermissionDenied for tokens that don't act for
    each other, or not by themselves (ONLY_REPRESENTED).
    """
    theirs = header(ON_BEHALF_OF)
    caller = await authenticate(token_of(header("authorization") or ""))
    if caller.only_represented and not (asks_who and theirs is None):
        raise PermissionDenied(
            "the token is good for being represented by an agent, and for nothing by itself",
            field="authorization",
            remedy=f"Call with the token that it was made from; an agent sends it in {ON_BEHALF_OF}, beside its own",
            reason="ONLY_REPRESENTED",
        )
    if theirs is None:
        return replace(caller, roles=frozenset()) if REPRESENTATIVE in caller.roles else caller
    if not for_others:
        raise PermissionDenied(
            "nobody is represented here", field=ON_BEHALF_OF, remedy="Leave the header out", reason="NOT_FOR_OTHERS"
        )
    try:
        person = await authenticate(token_of(theirs))
    except Unauthenticated:
        raise _not_theirs() from None
    return caller.acting_for(person)


def _not_theirs() -> Unauthenticated:
    return Unauthenticated(
        "the token of the person is not valid here", field=ON_BEHALF_OF, remedy="Ask the person for a current one"
    )


class Door:
    """The one interceptor of all services. `for_others`: agents may call for people here, by both tokens."""

    def __init__(self, authenticate: Authenticate, *, for_others: bool = False) -> None:
        self._authenticate, self._for_others = authenticate, for_others

    async def intercept_unary(
        self,
        call_next: Callable[[REQ, RequestContext[REQ, RES]], Awaitable[RES]],
        request: REQ,
        ctx: RequestContext[REQ, RES],
        /,
    ) -> RES:
        parent = TraceContext.read(ctx.request_headers.get)
        if not is_traced(ctx.method) or not tracing.traced(parent):
            return await self._answer(call_next, request, ctx, NO_TRACE)
        name = f"{ctx.method.service_name}/{ctx.method.name}"
        with tracing.span(name, "server", parent=parent, attributes=attributes_of(ctx.method)) as trace:
            return await self._answer(call_next, request, ctx, trace)

    async def intercept_server_stream(
        self,
        call_next: Callable[[REQ, RequestContext[REQ, RES]], AsyncIterator[RES]],
        request: REQ,
        ctx: RequestContext[REQ, RES],
        /,
    ) -> AsyncGenerator[RES]:
        # The span is that of the caller: what is told on the way belongs to it, however long that takes.
        async with self._admitted(request, ctx, TraceContext.read(ctx.request_headers.get)):
            answers = call_next(request, ctx)
            try:
                async for answer in answers:
                    yield answer
            finally:
                if isinstance(answers, AsyncGenerator):
                    await answers.aclose()

    async def _answer(
        self,
        call_next: Callable[[REQ, RequestContext[REQ, RES]], Awaitable[RES]],
        request: REQ,
        ctx: RequestContext[REQ, RES],
        trace: TraceContext,
    ) -> RES:
        async with self._admitted(request, ctx, trace):
            return await call_next(request, ctx)

    @asynccontextmanager
    async def _admitted(
        self, request: object, ctx: RequestContext[Any, Any], trace: TraceContext
    ) -> AsyncGenerator[None]:
        """The caller is known and the request valid within; errors go out as the wire has them."""
        try:
            caller = await caller_of(
                self._authenticate,
                ctx.request_headers.get,
                for_others=self._for_others,
                asks_who=ctx.method.name == scopes.WHO_AM_I,
            )
            scopes.need(caller.scopes, ctx.method.service_name, ctx.method.name, request)
            if isinstance(request, Message):
                validation.check(cast("Message[Any]", request))
                secrets_at_the_door.keep_out(ctx.method.service_name, caller.roles, cast("Message[Any]", request))
            before = _caller.get()
            _caller.set(replace(caller, trace=trace) if trace else caller)
            try:
                with bound(
                    tenant_id=caller.tenant_id,
                    principal_id=caller.principal_id,
                    on_behalf_of=caller.on_behalf_of,
                    method=ctx.method.name,
                    trace_id=trace.trace_id,
                ):
                    yield
            finally:
                # Not by its token: a stream may be closed in another context than it began in.
                _caller.set(before)
        except ConnectError:
            raise
        except AmeideError as error:
            raise to_connect(error) from error
        except Exception as error:
            log.exception("a call failed unexpectedly", extra={"method": ctx.method.name})
            raise to_connect(
                Internal("the call failed unexpectedly", remedy="The server's log has the details")
            ) from error
