"""What a call of a model leaves in traces and metrics, and that nothing else goes anywhere, whatever the shell says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

from ameide.architect.ports import ModelUnavailable
from ameide.telemetry import tracing
from ameide.telemetry.context import NO_TRACE, TraceContext
from ameide.telemetry.metrics import REGISTRY
from ameide.telemetry.recording import Attributes, Kind
from tests.acceptance.installation import ROOT
from tests.architect.model_endpoint import KEY, Fail, Say, in_turn, serving
from tests.architect.test_models import model, told

ASKS = """
import asyncio, json, sys
places = []
sys.addaudithook(lambda name, args: places.append([name, str(args[1] if name == "socket.connect" else args[0])])
                 if name in ("socket.connect", "socket.getaddrinfo") else None)
from ameide import config
from ameide.architect.models import model_of
from ameide.architect.ports import Answer, Prompt
from langchain_core.messages import HumanMessage

async def main():
    said = [event async for event in model_of(config.read()).ask(Prompt((HumanMessage("Why?"),)))]
    print(json.dumps({"text": str(said[-1].message.text), "places": places}))

asyncio.run(main())
"""


@dataclass
class Recorded:
    """A span."""

    name: str
    kind: Kind
    attributes: dict[str, str | int | tuple[str, ...]]
    failed: str = ""
    context: TraceContext = NO_TRACE

    def note(self, attributes: Attributes) -> None:
        self.attributes.update(attributes)

    def fail(self, kind: str) -> None:
        self.failed = kind

    def end(self) -> None:
        """It is kept."""


@dataclass
class Recorder:
    """Keeps spans."""

    spans: list[Recorded] = field(default_factory=list[Recorded])

    def start(self, name: str, kind: Kind, parent: TraceContext, attributes: Attributes) -> Recorded:
        self.spans.append(Recorded(name, kind, dict(attributes)))
        return self.spans[-1]

    def close(self, seconds: float) -> None:
        """Nothing is left to send."""


@pytest.fixture
def recorder() -> Generator[Recorder]:
    made = Recorder()
    tracing.use(made)
    yield made
    tracing.use(None)


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_each_try_is_a_span_by_the_conventions_without_content(recorder: Recorder) -> None:
    about = {"gen_ai_provider_name": "openai", "gen_ai_request_model": "gpt-5.2"}
    before = sample("gen_ai_client_token_usage_sum", gen_ai_token_type="input", **about)
    with serving(in_turn(Fail(503, "down", headers={"retry-after": "0"}), Say("It rests."))) as endpoint:
        await told(model(endpoint, "chat"))
        port = urlsplit(endpoint.address).port
    first, second = recorder.spans
    assert (first.name, first.kind, first.failed) == ("chat gpt-5.2", "client", "503")
    assert second.failed == ""
    assert second.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5.2",
        "gen_ai.request.max_tokens": 8000,
        "gen_ai.conversation.id": "cnv-1",
        "server.address": "127.0.0.1",
        "server.port": port,
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 40,
        "gen_ai.response.model": "gpt-5.2-2026",
        "gen_ai.response.finish_reasons": ("stop",),
    }
    assert sample("gen_ai_client_token_usage_sum", gen_ai_token_type="input", **about) == before + 100
    assert sample("gen_ai_client_operation_duration_seconds_count", error_type="503", **about) >= 1


async def test_a_key_that_is_refused_stands_in_no_span(recorder: Recorder) -> None:
    with serving(in_turn(Say("No."))) as endpoint, pytest.raises(ModelUnavailable) as raised:
        await told(model(endpoint, "chat", architect_model_key="sk-another-9fKq27Lm4Xz0TbVw"))
    assert "9fKq27Lm4Xz0TbVw" not in f"{recorder.spans}{raised.value}"
    assert KEY not in f"{recorder.spans}{raised.value}"


def asked_from(environment: dict[str, str]) -> dict[str, list[list[str]] | str]:
    """What a process with these variables said, and whom it spoke to."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    done = subprocess.run(
        [sys.executable, "-c", ASKS], env=kept | environment, cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def settings(url: str, **more: str) -> dict[str, str]:
    return {
        "AMEIDE_ARCHITECT_MODEL": "openai:gpt-5.2",
        "AMEIDE_ARCHITECT_MODEL_URL": url,
        "AMEIDE_ARCHITECT_MODEL_KEY": KEY,
        **more,
    }


def test_nothing_goes_to_anybody_but_the_model() -> None:
    """Whatever a developer's shell says: no tracing service, no gateway of one, no vocabulary that is fetched."""
    with serving(in_turn(Say("Because."))) as elsewhere, serving(in_turn(Say("Because."))) as endpoint:
        shell = {
            "LANGSMITH_TRACING": "true",
            "LANGCHAIN_TRACING_V2": "true",
            "LANGCHAIN_TRACING": "true",
            "LANGSMITH_API_KEY": "lsv2_0123456789",
            "LANGSMITH_ENDPOINT": elsewhere.address,
            "LANGSMITH_GATEWAY": elsewhere.address,
            "OPENAI_BASE_URL": elsewhere.url("chat"),
            "OPENAI_API_BASE": elsewhere.url("chat"),
        }
        found = asked_from(settings(endpoint.url("chat"), **shell))
        assert not elsewhere.asked
        port = urlsplit(endpoint.address).port
    assert found["text"] == "Because."
    assert {place for name, place in found["places"] if name == "socket.connect"} == {str(("127.0.0.1", port))}
    assert {place for name, place in found["places"] if name == "socket.getaddrinfo"} <= {"127.0.0.1", "b'127.0.0.1'"}


def test_the_operators_proxy_is_gone_through() -> None:
    with serving(in_turn(Say("Through."))) as proxy:
        found = asked_from(settings("http://models.example/v1", HTTP_PROXY=proxy.address))
        assert [asked.headers["Host"] for asked in proxy.asked] == ["models.example"]
    assert found["text"] == "Through."
