"""The generated clients with a bearer token, short timeouts and our errors. The only way to the Domain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from types import TracebackType
from typing import Self, TypeVar, cast
from urllib.parse import urlencode, urlsplit

from connectrpc.errors import ConnectError
from connectrpc.request import RequestContext
from pyqwest import Client, HTTPTransport, Proxy, ReadError, RemoteProtocolError, WriteError

from ameide.contracts import hosts
from ameide.errors import Unreachable
from ameide.rpc.interceptors import ON_BEHALF_OF
from ameide.rpc.mapping import from_answer, from_connect
from ameide.rpc.traces import attributes_of, is_traced
from ameide.telemetry import tracing
from ameide_core_proto.agent.transformation.v1.architect_service_connect import ArchitectServiceClient
from ameide_core_proto.agent.transformation.v1.architect_service_pb import ConverseRequest, ConverseResponse
from ameide_core_proto.process.transformation.v1.process_fact_service_connect import ProcessFactServiceClient
from ameide_core_proto.transformation.governance.v1.access_service_connect import AccessServiceClient
from ameide_core_proto.transformation.governance.v1.command_service_connect import GovernanceCommandServiceClient
from ameide_core_proto.transformation.governance.v1.conversation_service_connect import (
    ConversationCommandServiceClient,
)
from ameide_core_proto.transformation.governance.v1.query_service_connect import GovernanceQueryServiceClient
from ameide_core_proto.transformation.knowledge.v1.command_service_connect import KnowledgeCommandServiceClient
from ameide_core_proto.transformation.work.v1.command_service_connect import WorkCommandServiceClient
from ameide_core_proto.transformation.work.v1.query_service_connect import WorkQueryServiceClient

REQ = TypeVar("REQ")
RES = TypeVar("RES")


# What it is when nobody answers, or not to the end.
_NO_ANSWER = (OSError, TimeoutError, ReadError, RemoteProtocolError, WriteError)
# Besides what the bytes take at the slowest line, in bytes a second.
_EXCHANGE_SECONDS, _SLOWEST = 30.0, 100_000
# A stream has no end that is known before; but no model thinks for so long without a word from the server.
_SILENT_SECONDS = 900.0
# An explicit proxy replaces those that the environment names; this one is for none of this machine's own names.
_NO_PROXY = Proxy("http://127.0.0.1:9", no_proxy="127.0.0.0/8,::1,localhost")


def is_here(address: str) -> bool:
    """Whether the address is this machine's own: no proxy gets there, and none is to see the token."""
    return hosts.is_here(urlsplit(address).hostname or "")


class _Caller:
    """Adds the tokens and the trace, and turns Connect errors into ours."""

    def __init__(self, token: str, on_behalf_of: str = "") -> None:
        self._headers = {"authorization": f"Bearer {token}"}
        if on_behalf_of:
            self._headers[ON_BEHALF_OF] = f"Bearer {on_behalf_of}"

    async def intercept_unary(
        self,
        call_next: Callable[[REQ, RequestContext[REQ, RES]], Awaitable[RES]],
        request: REQ,
        ctx: RequestContext[REQ, RES],
        /,
    ) -> RES:
        ctx.request_headers.update(self._headers)
        if not is_traced(ctx.method) or not tracing.traced(tracing.current()):
            return await self._send(call_next, request, ctx)
        name = f"{ctx.method.service_name}/{ctx.method.name}"
        with tracing.span(name, "client", attributes=attributes_of(ctx.method)) as trace:
            for header, value in trace.headers.items():
                ctx.request_headers[header] = value
            return await self._send(call_next, request, ctx)

    async def _send(
        self,
        call_next: Callable[[REQ, RequestContext[REQ, RES]], Awaitable[RES]],
        request: REQ,
        ctx: RequestContext[REQ, RES],
    ) -> RES:
        try:
            return await unless_cancelled(call_next(request, ctx))
        except ConnectError as error:
            raise from_connect(error) from error
        except (OSError, TimeoutError) as error:
            raise Unreachable("the service does not answer", remedy="Start it with `ameide up`") from error

    async def intercept_server_stream(
        self,
        call_next: Callable[[REQ, RequestContext[REQ, RES]], AsyncIterator[RES]],
        request: REQ,
        ctx: RequestContext[REQ, RES],
        /,
    ) -> AsyncGenerator[RES]:
        ctx.request_headers.update(self._headers)
        for header, value in tracing.current().headers.items() if tracing.traced(tracing.current()) else ():
            ctx.request_headers[header] = value
        answers = call_next(request, ctx)
        try:
            while True:
                try:
                    async with asyncio.timeout(_SILENT_SECONDS):
                        answer = await unless_cancelled(anext(answers))
                except StopAsyncIteration:
                    return
                yield answer
        except ConnectError as error:
            raise from_connect(error) from error
        except (OSError, TimeoutError) as error:
            raise Unreachable("the service does not answer", remedy="Start it with `ameide up`") from error
        finally:
            # Whoever stops listening closes the connection, and the server learns of it.
            if isinstance(answers, AsyncGenerator):
                await answers.aclose()


async def unless_cancelled(call: Awaitable[RES]) -> RES:
    """The answer to a call, or CancelledError when we were cancelled meanwhile.

    The library takes a cancellation for an error of the server, which would invite another try; and `asyncio.wait_for`,
    which it waits by, forgets one that comes together with the answer (until Python 3.12). A loop that was told to end
    would go on.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        answer = await call
    except ConnectError as error:
        if isinstance(error.__cause__, asyncio.CancelledError):
            raise error.__cause__ from None
        raise
    if task and task.cancelling() > before:
        raise asyncio.CancelledError
    return answer


class Clients:
    """All services at one address. Raises the errors of `ameide.errors`; use as an async context manager.

    `timeout` is per call, in seconds; PollWork waits on top of it. An agent calls for a person with that person's token
    in `on_behalf_of` beside its own; evidence is exchanged by its own token alone, for nobody else.
    """

    def __init__(self, address: str, token: str, *, timeout: float = 10.0, on_behalf_of: str = "") -> None:
        self._transport = HTTPTransport(
            tls_include_system_certs=True, follow_redirects=False, proxy=_NO_PROXY if is_here(address) else None
        )
        self._address, self._http, self._token = address, Client(self._transport), token
        client = self._http
        ms = int(timeout * 1000)
        door = (_Caller(token, on_behalf_of),)
        self.work = WorkCommandServiceClient(address, timeout_ms=ms, interceptors=door, http_client=client)
        self.knowledge = KnowledgeCommandServiceClient(address, timeout_ms=ms, interceptors=door, http_client=client)
        self.governance = GovernanceCommandServiceClient(address, timeout_ms=ms, interceptors=door, http_client=client)
        self.conversations = ConversationCommandServiceClient(
            address, timeout_ms=ms, interceptors=door, http_client=client
        )
        self.access = AccessServiceClient(address, timeout_ms=ms, interceptors=door, http_client=client)
        self.process_facts = ProcessFactServiceClient(address, timeout_ms=ms, interceptors=door, http_client=client)
        self.queries = GovernanceQueryServiceClient(address, timeout_ms=ms, interceptors=door, http_client=client)
        self.work_queries = WorkQueryServiceClient(address, timeout_ms=ms, interceptors=door, http_client=client)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def check(self) -> None:
        """Raises Unreachable while the Domain's door does not answer."""
        try:
            await self._http.get(f"{self._address}/healthz")
        except _NO_ANSWER as error:
            raise Unreachable("does not answer", remedy="Start it with `ameide up`") from error

    async def put_evidence(self, path: str, data: bytes) -> str:
        """Put an artifact at a path of the door that OpenEvidenceUpload answered; what the door says of it, in JSON.

        Raises the errors of `ameide.errors`.
        """
        return (await self._exchange(path, len(data), content=data)).decode()

    async def get_evidence(self, path: str, uri: str) -> bytes:
        """An input of the work at the path that OpenEvidenceUpload answered. Raises the errors of `ameide.errors`."""
        return await self._exchange(f"{path}?{urlencode({'uri': uri})}", 0)

    async def _exchange(self, path: str, size: int, content: bytes | None = None) -> bytes:
        headers = {"authorization": f"Bearer {self._token}"}
        if tracing.traced(tracing.current()):
            headers |= tracing.current().headers
        if content is not None:
            # Of an empty body the library says no length by itself.
            headers["content-length"] = str(len(content))
        url = f"{self._address}{path}"
        call = self._http.get(url, headers) if content is None else self._http.put(url, headers, content)
        try:
            async with asyncio.timeout(_EXCHANGE_SECONDS + size / _SLOWEST):
                response = await call
        except _NO_ANSWER as error:
            raise Unreachable("the service does not answer", remedy="Start it with `ameide up`") from error
        if response.status == 200:
            return bytes(response.content)
        raise from_answer(response.status, bytes(response.content))

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.aclose()


class ArchitectClients:
    """The Architect agent at its own address. Raises the errors of `ameide.errors`; use as an async context manager.

    The agent sees the token and takes none of a person that is good for everything: see `ameide.rpc.delegating`.
    `timeout` is per call that is no stream, in seconds.
    """

    def __init__(self, address: str, token: str, *, timeout: float = 10.0) -> None:
        self._transport = HTTPTransport(
            tls_include_system_certs=True, follow_redirects=False, proxy=_NO_PROXY if is_here(address) else None
        )
        http, door = Client(self._transport), (_Caller(token),)
        ms = int(timeout * 1000)
        self.architect = ArchitectServiceClient(address, timeout_ms=ms, interceptors=door, http_client=http)
        self._streams = ArchitectServiceClient(address, interceptors=door, http_client=http)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.aclose()

    async def converse(self, request: ConverseRequest) -> AsyncGenerator[ConverseResponse]:
        """One turn's events as they come. Closing the generator tells the agent that nobody listens any more."""
        # The interceptor makes it one.
        answers = cast("AsyncGenerator[ConverseResponse]", self._streams.converse(request))
        async with aclosing(answers) as events:
            async for event in events:
                yield event
