"""The model behind the port: the first that answers, asked again while that may help, then those to fall back on."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from ameide.architect.ports import Answer, ModelUnavailable, Prompt, Restarted, TextDelta
from ameide.architect.providers import Wanted, opened, wanted
from ameide.config import Settings, secret_values
from ameide.config.prices import Price, prices_of
from ameide.contracts.usage import added
from ameide.errors import InvalidArgument
from ameide.secret_shapes import MASK, masked
from ameide_core_proto.transformation.work.v1.work_pb import Usage

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from ameide.architect.provider_errors import ModelFailed

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0
_SHORTEST_SECRET = 6
log = logging.getLogger(__name__)


def model_of(settings: Settings, redact: Callable[[str], str] | None = None) -> Models | None:
    """The model that the settings want; None when they want none. Nothing is loaded yet.

    `redact` takes secrets out of text; by default those of the settings, and what looks like one. Raises
    InvalidArgument naming the setting that is wrong.
    """
    if not (wants := wanted(settings)):
        return None
    prices = prices_of(settings.prices if settings.prices != Path() else None)
    redact = redact or partial(_masked, secrets=tuple(secret_values(settings)))
    return Models(wants, prices, redact, retries=settings.architect_model_retries)


def _masked(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, MASK)
    return masked(text)


class Models:
    """A model and those to fall back on. Safe for many conversations at once."""

    def __init__(
        self, wants: Sequence[Wanted], prices: Mapping[str, Price], redact: Callable[[str], str], *, retries: int
    ) -> None:
        self._wants = wants
        self._prices = prices
        # The same messages are sent again with every call of a turn.
        self._redact = lru_cache(maxsize=1024)(redact)
        self._retries = max(retries, 0)
        self._chats: dict[str, BaseChatModel] = {}
        self._opening = asyncio.Lock()

    def __repr__(self) -> str:
        return f"Models({', '.join(want.name for want in self._wants)})"

    @property
    def name(self) -> str:
        """The first one, as `provider:model`."""
        return self._wants[0].name

    @property
    def fallbacks(self) -> Sequence[str]:
        """The others, in the order in which they are asked."""
        return [want.name for want in self._wants[1:]]

    async def load(self) -> None:
        """Load the clients, which takes seconds, before somebody waits for it. Raises InvalidArgument for a bad one."""
        for want in self._wants:
            await self._chat(want)

    async def ask(self, prompt: Prompt) -> AsyncGenerator[TextDelta | Restarted | Answer]:
        """See `ports.Model`."""
        spent = [Usage()]
        try:
            async with aclosing(self._ask(prompt, spent)) as events:
                async for event in events:
                    yield event
        except (asyncio.CancelledError, GeneratorExit):
            prompt.broken_off(added(spent))
            raise

    async def _ask(self, prompt: Prompt, spent: list[Usage]) -> AsyncGenerator[TextDelta | Restarted | Answer]:
        reasons, too_long = list[str](), False
        for want in self._wants:
            for number in range(1 + self._retries):
                if reasons:
                    yield Restarted(reasons[-1], want.name)
                trying = _Try()
                # Whoever stops listening ends the call, and with it what it costs.
                try:
                    async with aclosing(self._try(want, prompt, trying)) as events:
                        async for event in events:
                            whole = isinstance(event, Answer)
                            yield replace(event, usage=added([*spent, event.usage])) if whole else event
                except (asyncio.CancelledError, GeneratorExit):
                    spent.append(trying.usage)
                    raise
                if (failure := trying.failure) is None:
                    return
                spent.append(trying.usage)
                too_long = too_long or failure.too_long
                reasons.append(f"{want.name}: {failure.reason}")
                log.warning(
                    "a model did not answer", extra={"model": want.name, "kind": failure.kind, "try": number + 1}
                )
                if not failure.retry or number == self._retries:
                    break
                await asyncio.sleep(_pause(number) if failure.after is None else failure.after)
        told = "; ".join(dict.fromkeys(reasons))
        remedy = "Ask again later, or look at AMEIDE_ARCHITECT_MODEL and its key"
        if too_long:
            remedy = "Ask for less at once, begin another conversation, or name a model that takes more"
        raise ModelUnavailable(f"no model answered ({told})", usage=added(spent), remedy=remedy, too_long=too_long)

    async def _try(self, want: Wanted, prompt: Prompt, trying: _Try) -> AsyncGenerator[TextDelta | Answer]:
        from ameide.architect.provider_errors import ModelFailed

        try:
            chat = await self._chat(want)
        except InvalidArgument as error:
            trying.failure = ModelFailed(str(error), kind="settings", retry=False)
            return
        from ameide.architect.attempt import Attempt

        attempt = Attempt(want, chat, prompt, self._prices.get, self._redact)
        try:
            async with aclosing(attempt.texts()) as texts:
                async for text in texts:
                    yield TextDelta(text)
        except ModelFailed as failure:
            trying.failure, trying.usage = failure, attempt.usage
            return
        except (asyncio.CancelledError, GeneratorExit):
            trying.usage = attempt.usage
            raise
        yield attempt.answer()

    async def _chat(self, want: Wanted) -> BaseChatModel:
        async with self._opening:
            if want.name not in self._chats:
                self._chats[want.name] = await asyncio.to_thread(opened, want)
            return self._chats[want.name]


class _Try:
    failure: ModelFailed | None = None
    usage: Usage = Usage()


def _pause(number: int) -> float:
    return min(_FIRST_PAUSE * 2**number, _LONGEST_PAUSE) * random.uniform(0.5, 1.0)  # noqa: S311 - it spreads load
