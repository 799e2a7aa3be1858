"""A double of the model: a local server that says what a script tells it to, by the protocols of OpenAI and Anthropic.

The clients that ask it are the real ones. It streams chat completions, responses and messages.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from tests.architect.model_protocols import FORMS, Event

KEY = "sk-scripted-5mWq82Lx04TzRb"
"""The one key that the endpoint takes."""
Protocol = Literal["chat", "responses", "messages"]
_PATHS: Mapping[str, Protocol] = {
    "/v1/chat/completions": "chat",
    "/v1/responses": "responses",
    "/v1/messages": "messages",
}


@dataclass(frozen=True)
class Asked:
    """One request. `number` counts from 0 in the endpoint's life, `results` the answers of tools that came with it."""

    protocol: Protocol
    number: int
    body: dict[str, Any]
    headers: Mapping[str, str]

    @property
    def results(self) -> list[str]:
        """What tools had answered, in order."""
        return list(_results(self.body))

    @property
    def text(self) -> str:
        """All of it, as it came."""
        return json.dumps(self.body, ensure_ascii=False)


@dataclass(frozen=True)
class Tokens:
    """What an answer says that it cost; `cached` are among `read`, `thought` among `written`."""

    read: int = 100
    cached: int = 40
    written: int = 20
    thought: int = 5


@dataclass(frozen=True)
class Calls:
    """A call of a tool. `arguments` is JSON, or what a model wrote instead of it."""

    name: str
    arguments: str = "{}"
    id: str = ""


@dataclass(frozen=True)
class Say:
    """An answer: text in pieces, then calls of tools. `tokens` None: the server does not count."""

    text: str = ""
    calls: Sequence[Calls] = ()
    tokens: Tokens | None = Tokens()
    refusal: str = ""
    cut: bool = False
    piece: int = 7
    # How it stops before its end: a dead connection, an error in the stream, one that closes as if all were said.
    breaks: Literal["", "dead", "error", "silent_end", "stall"] = ""

    def pieces(self) -> list[str]:
        """The text as it is streamed."""
        return [self.text[at : at + self.piece] for at in range(0, len(self.text), self.piece)]

    def numbered(self, number: int) -> Say:
        """With ids for the calls that have none."""
        calls = [replace(call, id=call.id or f"call_{number}_{at}") for at, call in enumerate(self.calls)]
        return replace(self, calls=calls)


@dataclass(frozen=True)
class Fail:
    """An HTTP error."""

    status: int
    message: str = "scripted"
    code: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Hang:
    """No answer at all until the endpoint closes."""


Reply = Say | Fail | Hang
Script = Callable[[Asked], Reply]


def in_turn(*replies: Reply) -> Script:
    """The n-th answer to the n-th request; the last one again and again."""
    left = list(replies)
    return lambda _asked: left.pop(0) if len(left) > 1 else left[0]


@dataclass
class Endpoint:
    """`asked` are the requests so far, in order; `refused` counts those with another key."""

    script: Script
    asked: list[Asked] = field(default_factory=list[Asked])
    refused: int = 0
    left: threading.Event = field(default_factory=threading.Event)
    """A client went away before the answer was over."""
    address: str = ""
    closing: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def url(self, protocol: Protocol) -> str:
        """The base URL as the protocol's clients want it."""
        return self.address if protocol == "messages" else f"{self.address}/v1"

    def note(self, protocol: Protocol, body: dict[str, Any], headers: Mapping[str, str]) -> tuple[Asked, Reply]:
        """What the script says to this request."""
        with self.lock:
            asked = Asked(protocol, len(self.asked), body, headers)
            self.asked.append(asked)
            return asked, self.script(asked)


def _handler(endpoint: Endpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the requests are kept."""

        def do_POST(self) -> None:
            self.close_connection = True
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            # A proxy is asked with the whole URL.
            path = self.path[self.path.index("/v1/") :] if "/v1/" in self.path else self.path
            if path not in _PATHS:
                return self._fail(Fail(404, f"no such path {path}"))
            if self.headers.get("x-api-key", self.headers.get("authorization", "")) not in (KEY, f"Bearer {KEY}"):
                endpoint.refused += 1
                return self._fail(Fail(401, f"Incorrect API key provided: {KEY}", "invalid_api_key"))
            asked, reply = endpoint.note(_PATHS[path], body, dict(self.headers.items()))
            match reply:
                case Fail():
                    self._fail(reply)
                case Hang():
                    endpoint.closing.wait(60)
                case Say():
                    try:
                        self._stream(asked, reply)
                    except OSError:
                        endpoint.left.set()
            return None

        def _fail(self, failure: Fail) -> None:
            error = {"message": failure.message, "type": "scripted_error", "code": failure.code or None}
            data = json.dumps({"type": "error", "error": error}).encode()
            self.send_response(failure.status)
            for name, value in {"content-type": "application/json", **failure.headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(data)))
            self.send_header("connection", "close")
            self.end_headers()
            self.wfile.write(data)

        def _stream(self, asked: Asked, reply: Say) -> None:
            self.send_response(200)
            for name, value in (("content-type", "text/event-stream"), ("connection", "close")):
                self.send_header(name, value)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for event in FORMS[asked.protocol](reply.numbered(asked.number), asked.body):
                self._chunk(event)
            match reply.breaks:
                case "dead":
                    # Linger 0: the other side sees a connection that was reset.
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.connection.close()
                case "stall":
                    while not endpoint.closing.wait(0.05):
                        self._chunk(Event("", None))
                case _:
                    self.wfile.write(b"0\r\n\r\n")

        def _chunk(self, event: Event) -> None:
            data = event.encoded()
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()

    return Handler


@contextlib.contextmanager
def serving(script: Script, host: str = "127.0.0.1") -> Generator[Endpoint]:
    """A running endpoint."""
    endpoint = Endpoint(script)
    server = ThreadingHTTPServer((host, 0), _handler(endpoint))
    server.daemon_threads = True
    endpoint.address = f"http://{host}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield endpoint
    finally:
        endpoint.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _results(body: dict[str, Any]) -> Iterator[str]:
    for message in [*body.get("messages", ()), *(body.get("input") or ())]:
        if message.get("role") == "tool":
            yield str(message["content"])
        if message.get("type") == "function_call_output":
            yield str(message["output"])
        if isinstance(message.get("content"), list):
            yield from (str(part["content"]) for part in message["content"] if part.get("type") == "tool_result")
