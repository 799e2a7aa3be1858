"""One try of one model: its stream, watched for silence, for an end that never came, for refusals and broken calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import add_ai_message_chunks

from ameide.architect import messages as forms
from ameide.architect.ports import Answer, Prompt
from ameide.architect.provider_errors import ModelFailed, failed
from ameide.architect.providers import Wanted
from ameide.architect.refusals import heard
from ameide.config.prices import Price
from ameide.telemetry import genai
from ameide_core_proto.transformation.work.v1.work_pb import Usage

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

_ENDS = ("finish_reason", "stop_reason", "status", "done_reason")
_CUT = frozenset({"length", "max_tokens", "incomplete", "MAX_TOKENS", "model_context_window_exceeded"})
_DECLINED = frozenset({"content_filter", "refusal", "SAFETY"})
_BROKEN = frozenset({"failed", "cancelled", "in_progress", "queued"})
# Of one token, and beyond any that a model writes: a server that goes on for ever is stopped.
_CHARACTERS_A_TOKEN = 64


class Attempt:
    """`texts` once, then `answer`; `usage` at any time after that."""

    def __init__(
        self,
        want: Wanted,
        chat: BaseChatModel,
        prompt: Prompt,
        price: Callable[[str], Price | None],
        redact: Callable[[str], str],
    ) -> None:
        self._want = want
        self._refusals: list[str] = []
        self._chat = heard(chat, self._refusals)
        self._prompt = prompt
        self._price = price
        self._redact = redact
        self._sent = forms.sent(prompt.messages, forms.dialect(want), redact)
        self._chunks: list[AIMessageChunk] = []
        self._pieces: asyncio.Queue[str | None] = asyncio.Queue()

    async def texts(self) -> AsyncGenerator[str]:
        """What the model says, as it says it. Raises ModelFailed when it does not come to an end."""
        # A task of its own: neither a time-out nor a span may be open while the consumer does something else.
        task = asyncio.create_task(self._stream())
        try:
            while (piece := await self._pieces.get()) is not None:
                yield piece
            await task
        finally:
            # Again until it ends: a client's library may swallow one cancellation.
            while not task.done():
                task.cancel()
                await asyncio.wait((task,), timeout=0.2)
            if not task.cancelled():
                task.exception()

    async def _stream(self) -> None:
        want = self._want
        address, port = want.server
        try:
            with genai.chat(
                want.provider,
                want.model,
                conversation_id=self._prompt.conversation_id,
                max_tokens=want.output_tokens,
                address=address,
                port=port,
            ) as call:
                try:
                    async with asyncio.timeout(want.seconds):
                        await self._listen(call)
                except Exception as error:
                    raise failed(error, begun=bool(self._chunks), redact=self._redact) from error
                finally:
                    self._note(call)
                self._check()
        finally:
            self._pieces.put_nowait(None)

    async def _listen(self, call: genai.Call) -> None:
        room = self._want.output_tokens * _CHARACTERS_A_TOKEN
        asked: Any = self._chat.bind_tools(_functions(self._prompt)) if self._prompt.tools else self._chat
        # No callbacks: those of a graph around us would be told what was said.
        async for chunk in asked.astream(self._sent, config={"callbacks": []}):
            if isinstance(chunk, AIMessageChunk):
                call.first_chunk()
                self._chunks.append(chunk)
                text = str(chunk.text)
                room -= len(text) + sum(len(part.get("args") or "") for part in chunk.tool_call_chunks)
                if room < 0:
                    raise ModelFailed("it said more than it may", kind="too_long", retry=False)
                if text:
                    self._pieces.put_nowait(text)

    def _note(self, call: genai.Call) -> None:
        call.usage = self.usage
        call.response_model = self.usage.model if self._chunks else ""
        call.finish = self._end

    def _check(self) -> None:
        """A connection that closes in good order in the middle of an answer raises nothing."""
        end = self._end
        known = self._want.provider in ("openai", "anthropic", "azure_openai")
        if not self._chunks or end in _BROKEN or (known and not end):
            raise ModelFailed("its answer broke off: there was no end to it", kind="broken_stream", retry=True)
        whole = self._whole
        if not (whole.text or whole.tool_call_chunks or self._refusal or end in _CUT):
            raise ModelFailed("it said nothing", kind="empty", retry=True)

    @property
    def _whole(self) -> AIMessageChunk:
        return add_ai_message_chunks(self._chunks[0], *self._chunks[1:])

    @property
    def _end(self) -> str:
        found = [
            str(chunk.response_metadata[key])
            for chunk in self._chunks
            for key in _ENDS
            if chunk.response_metadata.get(key)
        ]
        return found[-1] if found else ""

    @property
    def _refusal(self) -> str:
        said = "".join(self._refusals) or forms.refusal(self._whole)
        return said or ("The provider's filter declined to answer." if self._end in _DECLINED else "")

    @property
    def usage(self) -> Usage:
        """As the provider says it. Where an answer had begun and it says nothing: a token for four characters."""
        if not self._chunks:
            return Usage()
        whole = self._whole
        model = str(
            whole.response_metadata.get("model_name") or whole.response_metadata.get("model") or self._want.model
        )
        usage = forms.usage(whole) or forms.guessed(self._sent, self._prompt, whole)
        usage.model = model[:128]
        price = self._price(model) or self._price(self._want.model) or self._price(self._want.name)
        usage.cost_micros = price.of(usage) if price else 0
        return usage

    def answer(self) -> Answer:
        """The whole answer."""
        refusal = " ".join(self._redact(self._refusal).split())
        message: AIMessage = forms.kept(self._whole, forms.dialect(self._want), self._redact)
        return Answer(message, self._want.name, self.usage, refusal, cut=self._end in _CUT)


def _functions(prompt: Prompt) -> Sequence[dict[str, object]]:
    return [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
        }
        for tool in prompt.tools
    ]
