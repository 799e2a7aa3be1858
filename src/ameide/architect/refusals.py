"""Hears refusals of the chat completions protocol: LangChain's client passes over them while it streams."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


def heard(chat: BaseChatModel, refusals: list[str]) -> BaseChatModel:
    """The same client for one call, which adds what it says in refusal to `refusals`; other kinds as they are."""
    completions = getattr(chat, "async_client", None)
    if completions is None or getattr(chat, "root_async_client", None) is None:
        return chat
    return chat.model_copy(update={"async_client": _Completions(completions, refusals)})


class _Completions:
    def __init__(self, completions: Any, refusals: list[str]) -> None:
        self._completions = completions
        self._refusals = refusals

    def __getattr__(self, name: str) -> Any:
        return getattr(self._completions, name)

    async def create(self, **payload: Any) -> Any:
        stream = await self._completions.create(**payload)
        return _Stream(stream, self._refusals) if payload.get("stream") else stream


class _Stream:
    def __init__(self, stream: Any, refusals: list[str]) -> None:
        self._stream = stream
        self._refusals = refusals

    async def __aenter__(self) -> _Stream:
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stream.__aexit__(*error)

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for chunk in self._stream:
            for choice in getattr(chunk, "choices", None) or ():
                if refusal := getattr(choice.delta, "refusal", None):
                    self._refusals.append(refusal)
            yield chunk
