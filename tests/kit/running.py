"""One run of the kit: an executor goes through the scenarios, and what it broke is told."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ameide.contracts.topics import QUEUE_VERIFY
from tests.kit import repository, watching
from tests.kit.domain import Domain
from tests.kit.executor import Executor
from tests.kit.recording import recording
from tests.kit.rules import RuleBroken, told
from tests.kit.scenarios import SCENARIOS, Trial


@dataclass(frozen=True)
class Candidate:
    """An executor to try: `command` is a line for `sh`, given the queues, the token and the address in its environment.

    `own_store` is for one that has the Domain's object store at hand, so that its token need not be one for outside.
    `environment` comes on top; `queues` are those that it is given, of which the kit uses the verification's.
    """

    command: str
    queues: Sequence[str] = (QUEUE_VERIFY,)
    slots: int = 1
    own_store: bool = False
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Verdict:
    """What a run of the kit found."""

    broken: Sequence[RuleBroken]
    log: str

    @property
    def rules(self) -> set[str]:
        """The names of the broken rules."""
        return {found.rule for found in self.broken}

    def __str__(self) -> str:
        return told(self.broken, self.log)


async def judge(
    domain: Domain,
    candidate: Candidate,
    folder: Path,
    number: int,
    scenarios: Sequence[str] = tuple(SCENARIOS),
    say: Callable[[str], None] = lambda _line: None,
) -> Verdict:
    """Put a candidate through scenarios. `number` tells runs apart that share a Domain; `say` gets the progress."""
    broken: list[RuleBroken] = []
    killed: list[int] = []
    async with _trial(domain, candidate, folder, number) as trial:
        await trial.executor.start()
        for name in scenarios:
            trial.begun = len(trial.wire.calls)
            try:
                begun = time.monotonic()
                await SCENARIOS[name](trial)
                say(f"{name}: kept, {time.monotonic() - begun:.1f} s")
            except RuleBroken as found:
                broken.append(found)
                say(f"{name}: broken {found.rule}")
                # The next scenario gets an executor that knows nothing of this one.
                await trial.executor.kill()
                killed.append(len(trial.wire.calls))
                trial.wire.plans.clear()
                await trial.tenant.cancel_all()
                if name != scenarios[-1]:
                    await trial.executor.start()
        broken += watching.broken(trial.wire.calls, candidate.queues, candidate.slots, killed)
        return Verdict(broken, trial.executor.tail())


@asynccontextmanager
async def _trial(domain: Domain, candidate: Candidate, folder: Path, number: int) -> AsyncGenerator[Trial]:
    name = f"kit-{number}"
    made = await asyncio.to_thread(repository.make, folder / "repository", number)
    work = folder / "work"
    async with domain.tenant(name) as tenant, recording(domain.address) as wire:
        await tenant.register(made.url)
        token = await tenant.token(candidate.queues, only_executes=not candidate.own_store)
        environment = {
            "AMEIDE_ADDRESS": wire.address,
            "AMEIDE_TOKEN": token,
            "AMEIDE_QUEUE": " ".join(candidate.queues),
            "AMEIDE_STATE_DIR": str(work),
            **({"AMEIDE_OBJECT_STORE": domain.objects.as_uri()} if candidate.own_store else {}),
            **candidate.environment,
        }
        executor = Executor(candidate.command, environment, folder / "executor.log")
        try:
            yield Trial(tenant, wire, executor, made)
        finally:
            await executor.kill()
            await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)
