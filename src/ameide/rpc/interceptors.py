"""Server side of every call: who calls, is the request valid, which error goes out."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
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

    def need(self, *roles: str) -> None:
        """Raises PermissionDenied unless the principal has one of the roles. Admin is neither executor nor process."""
        if not self.roles.intersection(roles) and not (
            "admin" in self.roles and not {"executor", "process"} >= set(roles)
        ):
            raise PermissionDenied(
                f"{self.principal_id} has none of the roles {', '.join(sorted(roles))}",
                remedy="Ask an admin to admit the principal with one of them",
            )


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


class Door:
    """The one interceptor of all services."""

    def __init__(self, authenticate: Authenticate) -> None:
        self._authenticate = authenticate

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

    async def _answer(
        self,
        call_next: Callable[[REQ, RequestContext[REQ, RES]], Awaitable[RES]],
        request: REQ,
        ctx: RequestContext[REQ, RES],
        trace: TraceContext,
    ) -> RES:
        try:
            caller = await self._authenticate(token_of(ctx.request_headers.get("authorization") or ""))
            message: object = request
            scopes.need(caller.scopes, ctx.method.service_name, ctx.method.name, message)
            if isinstance(message, Message):
                validation.check(cast("Message[Any]", message))
                secrets_at_the_door.keep_out(ctx.method.service_name, caller.roles, cast("Message[Any]", message))
            reset = _caller.set(replace(caller, trace=trace) if trace else caller)
            try:
                with bound(
                    tenant_id=caller.tenant_id,
                    principal_id=caller.principal_id,
                    method=ctx.method.name,
                    trace_id=trace.trace_id,
                ):
                    return await call_next(request, ctx)
            finally:
                _caller.reset(reset)
        except ConnectError:
            raise
        except AmeideError as error:
            raise to_connect(error) from error
        except Exception as error:
            log.exception("a call failed unexpectedly", extra={"method": ctx.method.name})
            raise to_connect(
                Internal("the call failed unexpectedly", remedy="The server's log has the details")
            ) from error
