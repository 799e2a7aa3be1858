"""Runs Codex and looks at it while it works: tokens, money, circles, refused credentials, a model that is busy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ameide.config.prices import prices_of
from ameide.contracts.usage import highest, tokens_of
from ameide.infra.clock import now
from ameide.infra.coders import codex_failures as failures
from ameide.infra.coders.codex_events import Events
from ameide.infra.coders.codex_failures import Trouble, trouble_of
from ameide.infra.coders.codex_session import Action, Session
from ameide.infra.coders.port import CoderTask
from ameide.infra.coders.repetition import Repetition
from ameide.infra.steps import CommandResult, Profile, Reach
from ameide_core_proto.transformation.work.v1.work_pb import Budget, Usage

_LOOK = 0.25
_SAY_EVERY = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0


@dataclass
class Watch:
    """One attempt's Codex. `usage` is what it has used so far in all, also after a failure.

    `learn` is called now and then, so that secrets that came up meanwhile are known before they are seen.
    """

    task: CoderTask
    events: Events
    session: Session
    learn: Callable[[], None]
    model: str
    endpoint: str
    usage: Usage = field(default_factory=Usage)
    _busy_since: float | None = None
    _said: float = 0.0
    _untold: list[Action] = field(default_factory=list[Action])

    def __post_init__(self) -> None:
        self._circle = Repetition(self.task.settings.repeats)
        # Read once: an edit of the file meanwhile concerns the next attempt.
        self._prices = prices_of(self.task.settings.prices)

    async def run(
        self, argv: Sequence[str], environment: Mapping[str, str], reach: Reach, prompt: bytes
    ) -> CommandResult:
        """Codex to its end. It is started again while its model is busy, so that this costs no attempt.

        Raises `StepFailed` when it was ended for a reason.
        """
        pause = _FIRST_PAUSE
        while True:
            self.events.begin()
            result = await self._once(argv, environment, reach, prompt)
            if self.events.completed or trouble_of(self.events.failure) is not Trouble.BUSY:
                self._explain(self.events.failure)
                self._tell_cost()
                return result
            self.events.troubles.append(self.events.failure)
            # The working tree is as it was left, and so is what it knows of it: the next one looks at the tree.
            self.task.log(f"codex: the model is busy, trying again in {pause:.0f} s")
            await self._wait(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)

    async def _once(
        self, argv: Sequence[str], environment: Mapping[str, str], reach: Reach, prompt: bytes
    ) -> CommandResult:
        running = asyncio.ensure_future(
            self.task.run(
                argv,
                cwd=self.task.workspace.tree,
                env=environment,
                profile=Profile.CODER,
                stdin=prompt,
                reach=reach,
                listen=self.events.feed,
            )
        )
        try:
            while not running.done():
                await asyncio.wait([running], timeout=_LOOK)
                self._look()
                self._check()
            return running.result()
        finally:
            if not running.done():
                # On the way out its processes are ended.
                running.cancel()
                await asyncio.wait([running])
            self._untold += self.session.look()
            self._tell_denied()
            self._count()

    async def _wait(self, seconds: float) -> None:
        until = now() + seconds
        while (left := until - now()) > 0:
            self._check()
            await asyncio.sleep(min(left, _LOOK * 4))

    def _look(self) -> None:
        self.learn()
        self._tell_denied()
        for action in self.session.look():
            self._untold.append(action)
            if self._circle.note(f"{action.tool} {action.asked}", action.result):
                raise failures.stuck(f"{action.tool}: {action.asked}", self.task.settings.repeats)
        self._count()

    def _tell_denied(self) -> None:
        """What the sandbox denied has no event, and would be missing in the live log.

        An event may come a moment after the session's record, so what is new there is told at the next look.
        """
        for action in self._untold:
            if action.tool != "exec_command":
                continue
            if self.events.commands[action.asked]:
                self.events.commands[action.asked] -= 1
                continue
            self.task.log(f"$ {action.asked[:900]}")
            self.task.log(f"  denied: {action.result.rpartition('Output:')[2].strip()[-900:]}")
        self._untold.clear()

    def _count(self) -> None:
        """The session's count is ahead while a turn runs, the events' at its end; neither is ever too high."""
        model = self.session.model or self.model
        usage = highest(self.session.usage, self.events.usage)
        usage.model = model[:128]
        price = self._prices.get(model)
        usage.cost_micros = price.of(usage) if price else 0
        if usage != self.usage:
            self.usage = usage
            self.task.spend(usage)

    def _tell_cost(self) -> None:
        known = self.usage.model in self._prices
        cost = f"{self.usage.cost_micros / 1_000_000:.4f}" if known else "unknown, for AMEIDE_PRICES has no price"
        self.task.log(f"codex: {self.usage.model or 'the model'} cost {cost}")

    def _check(self) -> None:
        """Raises `StepFailed` when Codex has to be ended."""
        budget, used = self.task.work.budget or Budget(), self.usage
        tokens = tokens_of(used)
        if budget.max_tokens and tokens > budget.max_tokens:
            raise failures.budget_spent(f"{tokens} tokens are used of {budget.max_tokens} (max_tokens)")
        if budget.max_cost_micros and used.cost_micros > budget.max_cost_micros:
            raise failures.budget_spent(f"{used.cost_micros} of {budget.max_cost_micros} max_cost_micros are used")
        troubles = self.events.troubles
        if len(troubles) > 1 and all(trouble_of(trouble) is Trouble.CREDENTIALS for trouble in troubles[-2:]):
            # Codex would go on to try: nothing changes by it.
            self._explain(troubles[-1])
        self._check_busy(troubles[-1] if troubles else "")

    def _check_busy(self, trouble: str) -> None:
        if not trouble:
            self._busy_since = None
            return
        self._busy_since = self._busy_since or now()
        waited, limit = now() - self._busy_since, self.task.settings.codex.wait_seconds
        if waited > limit:
            raise failures.still_busy(trouble, self.endpoint, waited)
        if now() - self._said > _SAY_EVERY:
            self._said = now()
            self.task.log(f"codex: waiting for the model since {waited:.0f} s, at most {limit} s: {trouble}")

    def _explain(self, message: str) -> None:
        match trouble_of(message):
            case Trouble.CREDENTIALS:
                raise failures.refused_by_model(message, self.endpoint)
            case Trouble.QUOTA:
                raise failures.quota_spent(message)
            case _:
                return
