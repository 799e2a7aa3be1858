"""A double of the model: a local server of the OpenAI Responses protocol that says what a script tells it to.

The Codex that asks it is the real one. As a program, ``python -m tests.infra.responses_endpoint FOLDER`` writes a
CODEX_HOME into FOLDER and serves the story of the demo: the first change is wrong, the second is right.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

KEY = "sk-scripted-6fq2Vb81LxTz"
"""The one key that the endpoint takes."""

PATCHES = Path(__file__).parents[2] / "examples" / "patches" / "orders"


@dataclass(frozen=True)
class Call:
    """One request. `number` counts from 0 the answers that this conversation had before; `prompt` is what began it."""

    number: int
    prompt: str
    body: dict[str, Any]


@dataclass(frozen=True)
class Usage:
    """What an answer says that it cost in tokens; `cached` are among `tokens_in`, `reasoning` among `tokens_out`."""

    tokens_in: int = 100
    cached: int = 40
    tokens_out: int = 20
    reasoning: int = 5

    def as_json(self) -> dict[str, Any]:
        """As the protocol has it."""
        return {
            "input_tokens": self.tokens_in,
            "input_tokens_details": {"cached_tokens": self.cached},
            "output_tokens": self.tokens_out,
            "output_tokens_details": {"reasoning_tokens": self.reasoning},
            "total_tokens": self.tokens_in + self.tokens_out,
        }


@dataclass(frozen=True)
class Say:
    """A message, which ends the turn."""

    text: str
    usage: Usage = Usage()

    def item(self, number: int) -> dict[str, Any]:
        """The output item."""
        content = [{"type": "output_text", "text": self.text}]
        return {"type": "message", "role": "assistant", "id": f"msg_{number}", "content": content}


@dataclass(frozen=True)
class Refuse:
    """A refusal instead of an answer."""

    text: str
    usage: Usage = Usage()

    def item(self, number: int) -> dict[str, Any]:
        """The output item."""
        content = [{"type": "refusal", "refusal": self.text}]
        return {"type": "message", "role": "assistant", "id": f"msg_{number}", "content": content}


@dataclass(frozen=True)
class Run:
    """A shell command."""

    command: str
    usage: Usage = Usage()

    def item(self, number: int) -> dict[str, Any]:
        """The output item."""
        arguments = json.dumps({"cmd": self.command, "yield_time_ms": 20_000})
        return {
            "type": "function_call",
            "id": f"fc_{number}",
            "call_id": f"call_{number}",
            "name": "exec_command",
            "arguments": arguments,
        }


@dataclass(frozen=True)
class Patch:
    """An edit in the notation of apply_patch."""

    text: str
    usage: Usage = Usage()

    def item(self, number: int) -> dict[str, Any]:
        """The output item."""
        text = f"*** Begin Patch\n{self.text.strip()}\n*** End Patch\n"
        return {
            "type": "custom_tool_call",
            "id": f"ctc_{number}",
            "call_id": f"call_{number}",
            "name": "apply_patch",
            "input": text,
        }


@dataclass(frozen=True)
class Use:
    """A call of a tool that a server of the Model Context Protocol brought."""

    server: str
    tool: str
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])
    usage: Usage = Usage()

    def item(self, number: int) -> dict[str, Any]:
        """The output item."""
        return {
            "type": "function_call",
            "id": f"fc_{number}",
            "call_id": f"call_{number}",
            "namespace": f"mcp__{self.server}",
            "name": self.tool,
            "arguments": json.dumps(self.arguments),
        }


@dataclass(frozen=True)
class Search:
    """A look for tools among those that Codex does not tell of until they are looked for."""

    query: str
    usage: Usage = Usage()

    def item(self, number: int) -> dict[str, Any]:
        """The output item."""
        return {
            "type": "tool_search_call",
            "id": f"ts_{number}",
            "call_id": f"call_{number}",
            "execution": "client",
            "status": "completed",
            "arguments": {"query": self.query, "limit": 50},
        }


@dataclass(frozen=True)
class Fail:
    """An HTTP error."""

    status: int
    message: str = "scripted"
    code: str = ""
    kind: str = "scripted_error"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Hang:
    """No answer at all until the endpoint closes."""


Reply = Say | Refuse | Run | Patch | Use | Search | Fail | Hang
Script = Callable[[Call], Reply]


def conversation(*replies: Reply) -> Script:
    """The n-th answer of each conversation; the last one again and again."""
    return lambda call: replies[min(call.number, len(replies) - 1)]


def in_turn(*replies: Reply) -> Script:
    """The n-th answer to whoever asks; the last one again and again. For errors, which belong to no conversation."""
    left = list(replies)
    return lambda _call: left.pop(0) if len(left) > 1 else left[0]


def demo_story(call: Call) -> Reply:
    """The change of the demo, as the patches in examples make it: wrong in the first iteration, right in the second."""
    number = 2 if "This is iteration 2" in call.prompt else 1
    [patch] = PATCHES.glob(f"{number:03d}-*.patch")
    steps: Sequence[Reply] = (
        Run("cat AGENTS.md src/orders_service/store.py"),
        Run(f"git apply --whitespace=nowarn - <<'END'\n{patch.read_text(encoding='utf-8')}END\ngit status --short"),
        Run("python3 -m compileall -q src && echo it compiles"),
        Say("Orders can be canceled." if number == 1 else "A shipped order is refused now."),
    )
    return steps[min(call.number, len(steps) - 1)]


@dataclass
class Endpoint:
    """`calls` are the requests that were answered, in order; `refused` counts those with another key."""

    script: Script
    calls: list[Call] = field(default_factory=list[Call])
    times: list[float] = field(default_factory=list[float])
    refused: int = 0
    closing: threading.Event = field(default_factory=threading.Event)
    address: str = ""

    def answer(self, body: dict[str, Any]) -> Reply:
        """What the script says to this request."""
        items = cast("list[dict[str, Any]]", body["input"])
        number = sum(item["type"].endswith("_call_output") for item in items)
        call = Call(number, _prompt(items), body)
        self.calls.append(call)
        self.times.append(time.monotonic())
        return self.script(call)

    def write_home(self, folder: Path, *, key: str = KEY, **provider: str | int | bool) -> Path:
        """A CODEX_HOME in `folder` whose provider is this endpoint, with the key in its auth.json."""
        folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "name": "scripted",
            "base_url": f"{self.address}/v1",
            "wire_api": "responses",
            "requires_openai_auth": True,
            "request_max_retries": 0,
            "stream_max_retries": 0,
            **provider,
        }
        lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items() if value != ""]
        head = 'model = "gpt-5.5"\nmodel_provider = "scripted"\n\n[model_providers.scripted]\n'
        (folder / "config.toml").write_text(head + "\n".join(lines) + "\n", encoding="utf-8")
        if key:
            (folder / "auth.json").write_text(json.dumps({"OPENAI_API_KEY": key}), encoding="utf-8")
        return folder


@contextlib.contextmanager
def serving(script: Script) -> Generator[Endpoint]:
    """A running endpoint."""
    endpoint = Endpoint(script)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the calls are kept."""

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self.headers.get("authorization") != f"Bearer {KEY}":
                endpoint.refused += 1
                self._fail(Fail(401, "Incorrect API key provided", "invalid_api_key", "invalid_request_error"))
                return
            match endpoint.answer(body):
                case Fail() as failure:
                    self._fail(failure)
                case Hang():
                    endpoint.closing.wait(120)
                case reply:
                    self._stream(reply, len(endpoint.calls))

        def _fail(self, failure: Fail) -> None:
            error = {"message": failure.message, "type": failure.kind, "code": failure.code or None}
            data = json.dumps({"error": error}).encode()
            self.send_response(failure.status)
            for name, value in (("content-type", "application/json"), *failure.headers):
                self.send_header(name, value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _stream(self, reply: Say | Refuse | Run | Patch | Use | Search, number: int) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            identity = f"resp_{number}"
            done = {"id": identity, "usage": reply.usage.as_json()}
            self._event("response.created", response={"id": identity})
            self._event("response.output_item.done", item=reply.item(number))
            self._event("response.completed", response=done)

        def _event(self, kind: str, **said: object) -> None:
            self.wfile.write(f"event: {kind}\ndata: {json.dumps({'type': kind, **said})}\n\n".encode())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    endpoint.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield endpoint
    finally:
        endpoint.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _prompt(items: Sequence[dict[str, Any]]) -> str:
    """The last thing that a user said: before it come what Codex tells the model of its surroundings."""
    said = [item for item in items if item["type"] == "message" and item["role"] == "user"]
    return "".join(part.get("text", "") for part in said[-1]["content"]) if said else ""


def main(folder: Path) -> None:
    """Serve the demo's story until interrupted."""
    with serving(demo_story) as endpoint:
        home = endpoint.write_home(folder)
        print(f"The scripted model listens at {endpoint.address}. In another terminal:", flush=True)
        print(f"  CODEX_HOME={home.resolve()} ameide demo --coder codex", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            endpoint.closing.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
