"""Calls of language models, as OpenTelemetry's conventions for generative AI name them: a span, and three histograms.

No prompt and no answer stands in them. The metrics are named as Prometheus writes those of the conventions.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from prometheus_client import Histogram

from ameide.telemetry import tracing
from ameide.telemetry.metrics import REGISTRY
from ameide_core_proto.transformation.work.v1.work_pb import Usage

_LABELS = ("gen_ai_provider_name", "gen_ai_request_model")
# The boundaries that the conventions advise.
_TOKENS = tuple(4**power for power in range(14))
_SECONDS = tuple(0.01 * 2**power for power in range(14))

TOKEN_USAGE = Histogram(
    "gen_ai_client_token_usage",
    "Tokens of one call of a model.",
    (*_LABELS, "gen_ai_token_type"),
    buckets=_TOKENS,
    registry=REGISTRY,
)
DURATION = Histogram(
    "gen_ai_client_operation_duration_seconds",
    "How long one call of a model took; error_type is empty when it answered.",
    (*_LABELS, "error_type"),
    buckets=_SECONDS,
    registry=REGISTRY,
)
FIRST_CHUNK = Histogram(
    "gen_ai_client_operation_time_to_first_chunk_seconds",
    "Until the first piece of an answer came.",
    _LABELS,
    buckets=_SECONDS,
    registry=REGISTRY,
)
_PROVIDERS = {
    "azure_openai": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "google_genai": "gcp.gemini",
    "google_vertexai": "gcp.vertex_ai",
    "mistralai": "mistral_ai",
    "xai": "x_ai",
}


@dataclass(slots=True)
class Call:
    """One call while it goes on; what its span says at the end."""

    provider: str
    model: str
    begun: float = field(default_factory=time.monotonic)
    usage: Usage = field(default_factory=Usage)
    response_model: str = ""
    finish: str = ""
    _answered: bool = False

    def first_chunk(self) -> None:
        """The answer has begun; said again it changes nothing."""
        if not self._answered:
            self._answered = True
            FIRST_CHUNK.labels(self.provider, self.model).observe(time.monotonic() - self.begun)


@contextmanager
def chat(
    provider: str, model: str, *, conversation_id: str = "", max_tokens: int = 0, address: str = "", port: int = 0
) -> Generator[Call]:
    """A call of a chat model, as one span of a client. An error that leaves it marks it with its `kind`, else its type.

    `provider` is LangChain's name of it, `address` and `port` are the server's when it is not the provider's own.
    """
    call = Call(_PROVIDERS.get(provider, provider), model)
    about: dict[str, str | int] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": call.provider,
        "gen_ai.request.model": model,
        "gen_ai.request.max_tokens": max_tokens,
        "gen_ai.conversation.id": conversation_id,
        "server.address": address,
        "server.port": port,
    }
    broken: BaseException | None = None
    with tracing.span(f"chat {model}", "client", attributes={name: value for name, value in about.items() if value}):
        failed = ""
        try:
            yield call
        except BaseException as error:
            # Raised again behind the span, which would write the error's type over what it is of.
            broken, failed = error, getattr(error, "kind", "") or type(error).__name__
            tracing.fail(failed)
        _note(call, failed)
    if broken is not None:
        raise broken


def _note(call: Call, failed: str) -> None:
    usage = call.usage
    DURATION.labels(call.provider, call.model, failed).observe(time.monotonic() - call.begun)
    for kind, tokens in (("input", usage.input_tokens), ("output", usage.output_tokens)):
        if tokens:
            TOKEN_USAGE.labels(call.provider, call.model, kind).observe(tokens)
    numbers = {
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_input_tokens,
    }
    said: dict[str, str | int | tuple[str, ...]] = {name: value for name, value in numbers.items() if value}
    if call.response_model:
        said["gen_ai.response.model"] = call.response_model
    if call.finish:
        said["gen_ai.response.finish_reasons"] = (call.finish,)
    tracing.note(said)
