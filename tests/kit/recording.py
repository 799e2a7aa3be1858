"""The wire between an executor and the Domain: everything on it is kept, and it fails when the kit says so."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import h11
import httpx
from protobuf import Message

from ameide_core_proto.transformation.work.v1 import command_service_pb as pb

_CHUNK = 1 << 16
_FOR_EVER = 3600.0
MESSAGES: dict[str, tuple[type[Message[Any]], type[Message[Any]]]] = {
    name: (getattr(pb, f"{name}Request"), getattr(pb, f"{name}Response"))
    for name in (
        "PollWork",
        "RecordWorkStarted",
        "RecordWorkHeartbeat",
        "RecordWorkOutcome",
        "ReleaseWork",
        "OpenEvidenceUpload",
    )
}


@dataclass
class Call:
    """One call on the wire. `method` is the RPC's name, or PUT and GET of evidence; times are monotonic, in seconds.

    `status` is 0 while there is no answer from the Domain; `delivered` tells whether the executor got it.
    """

    method: str
    path: str
    body: bytes
    request: Any
    at: float
    status: int = 0
    answer: Any = None
    code: str = ""
    delivered: bool = False

    @property
    def pair(self) -> tuple[str, int, str] | None:
        """Work, attempt and claim_id that the call names, if it names an attempt."""
        if self.path.startswith("/evidence/"):
            work, attempt, claim_id = self.path.removeprefix("/evidence/").split("?")[0].split("/")[:3]
            return work, int(attempt), claim_id
        if isinstance(self.request, pb.PollWorkRequest | pb.RecordWorkStartedRequest) or self.request is None:
            return None
        return self.request.work_request_id, self.request.attempt, self.request.claim_id

    @property
    def run(self) -> tuple[str, int, str] | None:
        """Work, attempt and claim_id that this call claimed, if its answer was RUN."""
        answer = self.answer
        if not isinstance(answer, pb.PollWorkResponse | pb.RecordWorkStartedResponse) or answer.work is None:
            return None
        if answer.answer is not pb.ClaimAnswer.RUN:
            return None
        return answer.work.work_request_id, answer.attempt, self.request.claim_id

    def __str__(self) -> str:
        about = self.pair or self.run
        named = f" of {about[0][-6:]}/{about[1]}/{about[2][:6]}" if about else ""
        said = self.code or (self.status and "answered") or "not answered"
        return f"{self.method}{named} ({said}{'' if self.delivered else ', answer lost'})"


@dataclass
class Plan:
    """What goes wrong once with the next call that it matches: its answer is lost, or `answer` is said instead."""

    method: str
    answer: Message[Any] | None = None
    when: Callable[[Call], bool] = lambda _call: True
    used: Call | None = None


@dataclass
class Recording:
    """A reverse proxy to `upstream`. `away` keeps every call from the Domain: cut off, or left without an answer."""

    upstream: str
    port: int = 0
    calls: list[Call] = field(default_factory=list[Call])
    plans: list[Plan] = field(default_factory=list[Plan])
    away: Literal["", "cut", "hang"] = ""
    held: set[str] = field(default_factory=set[str])

    def __post_init__(self) -> None:
        self._changed = asyncio.Condition()
        self._http = httpx.AsyncClient(trust_env=False, timeout=60)
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        """Where an executor finds the Domain."""
        return f"http://127.0.0.1:{self.port}"

    def plan(self, plan: Plan) -> Plan:
        """Let the next call of a method go wrong."""
        self.plans.append(plan)
        return plan

    def of(self, *methods: str, since: int = 0) -> list[Call]:
        """The calls of some methods, of all when none is named."""
        return [call for call in self.calls[since:] if not methods or call.method in methods]

    async def until(self, condition: Callable[[], bool], within: float) -> bool:
        """Whether the condition came true; it is looked at after every call and now and then."""
        deadline = time.monotonic() + within
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            async with self._changed:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(left, 0.1)):
                        await self._changed.wait()
        return True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of the executor."""
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with contextlib.suppress(ConnectionError, h11.RemoteProtocolError, asyncio.IncompleteReadError):
                connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
                while await self._exchange(connection, reader, writer):
                    connection.start_next_cycle()
        finally:
            self._connections.discard(task)
            writer.close()

    async def close(self) -> None:
        """End every connection."""
        for task in list(self._connections):
            task.cancel()
        if self._connections:
            await asyncio.wait(list(self._connections))
        await self._http.aclose()

    async def _exchange(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """One call; whether the connection may carry another."""
        head, body = None, b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                if connection.they_are_waiting_for_100_continue:
                    writer.write(connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
                connection.receive_data(await reader.read(_CHUNK))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return False
        assert head is not None
        headers = {name.decode().lower(): value.decode() for name, value in head.headers}
        call = self._seen(head.method.decode(), head.target.decode(), headers, body)
        answered = await self._answered(call, head.method.decode(), headers)
        await self._tell()
        if answered is None:
            return False
        status, content_type, data = answered
        reply = [("content-type", content_type), ("content-length", str(len(data)))]
        for event in (h11.Response(status_code=status, headers=reply), h11.Data(data=data), h11.EndOfMessage()):
            writer.write(connection.send(event) or b"")
        await writer.drain()
        call.delivered = True
        await self._tell()
        return connection.our_state is h11.DONE

    def _seen(self, verb: str, target: str, headers: dict[str, str], body: bytes) -> Call:
        name = target.rpartition("/")[2] if verb == "POST" else verb
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        request = _read(MESSAGES[name][0], headers, body) if name in MESSAGES else None
        call = Call(name, target, body, request, time.monotonic())
        self.calls.append(call)
        return call

    async def _answered(self, call: Call, verb: str, headers: dict[str, str]) -> tuple[int, str, bytes] | None:
        """What the executor gets; None when the connection is to end without an answer."""
        await self._tell()
        await self.until(lambda: self.away != "hang" and call.method not in self.held, _FOR_EVER)
        if self._cut:
            return None
        plans = [plan for plan in self.plans if plan.method == call.method and plan.used is None]
        for plan in plans:
            if plan.answer is not None:
                plan.used, call.status, call.answer = call, 200, plan.answer
                in_json = headers["content-type"] == "application/json"
                data = plan.answer.to_json().encode() if in_json else plan.answer.to_binary()
                return 200, headers["content-type"], data
        kept = {name: value for name, value in headers.items() if name not in _OF_THE_WIRE}
        response = await self._http.request(verb, self.upstream + call.path, content=call.body, headers=kept)
        content_type = response.headers.get("content-type", "")
        call.status = response.status_code
        if call.status == 200 and call.method in MESSAGES:
            call.answer = _read(MESSAGES[call.method][1], {"content-type": content_type}, response.content)
        elif call.status != 200:
            call.code = str(response.json().get("code", "")) if "json" in content_type else str(call.status)
        for plan in plans:
            if plan.when(call):
                plan.used = call
                return None
        return call.status, content_type, response.content

    @property
    def _cut(self) -> bool:
        return self.away == "cut"

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


_OF_THE_WIRE = frozenset(
    {"host", "connection", "content-length", "content-encoding", "accept-encoding", "transfer-encoding", "expect"}
)


def _read(kind: type[Message[Any]], headers: dict[str, str], data: bytes) -> Message[Any]:
    return kind.from_json(data.decode()) if "json" in headers.get("content-type", "") else kind.from_binary(data)


@asynccontextmanager
async def recording(upstream: str) -> AsyncGenerator[Recording]:
    """A wire to the Domain at `upstream`, on a free port."""
    made = Recording(upstream)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.close()
