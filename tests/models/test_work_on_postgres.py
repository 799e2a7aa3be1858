"""Requests, claims, sweeps and outcomes on PostgreSQL against the model, one after the other and at the same time."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from copy import deepcopy
from dataclasses import replace
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.conftest import Databases, SpineDatabase
from tests.models.calls import Answer, Call, Cancel, Claim, Heartbeat, Lapse, Outcome, Pair, Release, Run
from tests.models.domain import Domain
from tests.models.sizes import size
from tests.models.work_model import ENDED, WorkModel, check, seen

T = TypeVar("T")
EXECUTORS = st.sampled_from(["ada", "ben", "cyd"])
VERDICTS = st.sampled_from(["succeeded", "failed", "canceled"])
WORDS = st.sampled_from(["green", "red"])
PLACE = st.integers(0, 10**6)


class Machine(RuleBasedStateMachine):
    """Several executors, a process and a sweeper. An executor that is killed is a claim that nobody speaks for."""

    def __init__(self, databases: Databases) -> None:
        super().__init__()
        self._databases = databases
        self._spine = SpineDatabase(databases.clone("spine"))
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self.domain = self._do(Domain.opened(self._spine, self._stack))
        self.works: list[WorkModel] = []
        self.requests: list[str] = []
        # Every claim that was ever answered with RUN: what executors, living and dead, may say again.
        self.runs: list[tuple[int, Pair]] = []
        self.numbers = itertools.count()

    def teardown(self) -> None:
        try:
            if self.works:
                self._come_to_an_end()
        finally:
            self._do(self._stack.aclose())
            self._runner.close()
            self._databases.drop(self._spine.address)

    def _do(self, what: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(what)

    # What is said

    @initialize()
    def begin(self) -> None:
        self.request()

    @precondition(lambda self: len(self.works) < 4)
    @rule()
    def request(self) -> None:
        name = f"request {next(self.numbers)}"
        assert self._do(self.domain.request(name)) == "RECORDED"
        self.requests.append(name)
        self.works.append(WorkModel())

    @rule(place=PLACE)
    def request_again(self, place: int) -> None:
        assert self._do(self.domain.request(self.requests[place % len(self.requests)])) == "REPLAY"

    @rule(data=st.data())
    def say(self, data: st.DataObject) -> None:
        call = data.draw(self._calls(), "call")
        expected = self.works[call.work].say(call)
        assert self._do(self.domain.say(call)) == expected
        self._note(call, expected)

    @precondition(lambda self: self._holders())
    @rule(data=st.data())
    def holder_says(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(self._holders()).flatmap(_words), "call")
        assert self._do(self.domain.say(call)) == self.works[call.work].say(call)

    @rule(data=st.data())
    def say_twice(self, data: st.DataObject) -> None:
        """The first answer was lost on the way."""
        call = data.draw(self._calls(), "call")
        for _ in range(2):
            expected = self.works[call.work].say(call)
            assert self._do(self.domain.say(call)) == expected
            self._note(call, expected)

    @rule(executor=EXECUTORS)
    def poll(self, executor: str) -> None:
        self._poll(f"claim {next(self.numbers)}", executor)

    @precondition(lambda self: self.runs)
    @rule(place=PLACE)
    def poll_again(self, place: int) -> None:
        _, pair = self.runs[place % len(self.runs)]
        self._poll(pair.claim_id, pair.principal)

    @rule(data=st.data(), sweeping=st.booleans())
    def say_at_once(self, data: st.DataObject, sweeping: bool) -> None:
        """Each order of calls at the same time is a story; what happened must be one of them."""
        calls = data.draw(st.lists(self._calls(), min_size=2, max_size=3), "calls")
        polls = [(f"claim {next(self.numbers)}", data.draw(EXECUTORS))] if data.draw(st.booleans()) else []
        if sweeping:
            # The sweeper comes just when a late executor is heard of again.
            self.lease_passes(calls[0].work)

        async def together() -> tuple[list[Answer], list[Run | None], int]:
            said = asyncio.gather(*(self.domain.say(call) for call in calls))
            polled = asyncio.gather(*(self.domain.poll(*one) for one in polls))
            swept = self.domain.world.sweeper.sweep() if sweeping else asyncio.sleep(0, 0)
            return await said, await polled, await swept

        answers, polled, swept = self._do(together())
        runs = [run for run in polled if run is not None]
        lapses: list[Call] = [Lapse(work) for work in range(len(self.works))] if sweeping else []
        said = [*zip(calls, answers, strict=True), *((run, None) for run in runs)]
        self.works = self._story([*said, *((lapse, None) for lapse in lapses)], swept)
        for call, answer in said:
            self._note(call, answer or f"RUN {len(self.works[call.work].attempts)}")

    # What time does

    @rule(place=PLACE)
    def lease_passes(self, place: int) -> None:
        place %= len(self.works)
        self.domain.let_lease_pass(place)
        self.works[place].lease_passed = self.works[place].status == "started"

    @rule(place=PLACE, deadline=st.booleans())
    def wait_passes(self, place: int, deadline: bool) -> None:
        place %= len(self.works)
        self.domain.let_wait_pass(place, deadline=deadline)
        if self.works[place].status == "requested":
            self.works[place].announcement_due = True
            self.works[place].deadline_passed |= deadline

    @rule(place=PLACE, executor=EXECUTORS, times=st.integers(1, 3))
    def executors_are_killed(self, place: int, executor: str, times: int) -> None:
        """One after the other claims the work, and is not heard of again."""
        place %= len(self.works)
        for _ in range(times):
            claim = Claim(place, f"claim {next(self.numbers)}", executor)
            expected = self.works[place].say(claim)
            assert self._do(self.domain.say(claim)) == expected
            self._note(claim, expected)
            self.lease_passes(place)
            self.sweep()
            self.agrees()

    @rule()
    def sweep(self) -> None:
        expected = sum(int(work.say(Lapse(place))) for place, work in enumerate(self.works))
        assert self._do(self.domain.world.sweeper.sweep()) == expected

    @rule()
    def relay(self) -> None:
        self._do(self.domain.world.relayed())

    # What must hold

    @invariant()
    def agrees(self) -> None:
        for work in self.works:
            check(work)
        assert self.domain.seen() == [seen(work) for work in self.works]

    @invariant()
    def nobody_is_forgotten(self) -> None:
        """A work that waits is invited to under its newest dispatch."""
        waiting = {(n, work.dispatch) for n, work in enumerate(self.works) if work.status == "requested"}
        assert waiting <= self.domain.invited()

    def _calls(self) -> st.SearchStrategy[Call]:
        works = st.integers(0, len(self.works) - 1)
        fresh = st.builds(Claim, works, st.builds("claim of {}".format, PLACE), EXECUTORS)
        cancels = works.flatmap(lambda work: st.builds(Cancel, st.just(work), st.sampled_from([f"{work}", f"{work}!"])))
        if not self.runs:
            return st.one_of(fresh, cancels)
        known = st.sampled_from(self.runs[-6:])
        forged = st.builds(_forged, known, st.sampled_from(["claim_id", "principal", "attempt"]))
        said = [fresh, cancels, known.flatmap(_words), forged.flatmap(_words)]
        current = self._holders()
        # Those whose word counts, as often as all the others.
        return st.one_of(*said, *[st.sampled_from(current).flatmap(_words)] * (4 if current else 0))

    def _holders(self) -> list[tuple[int, Pair]]:
        """The current claims."""
        return [(place, work.holder.pair) for place, work in enumerate(self.works) if work.holder]

    def _poll(self, claim_id: str, executor: str) -> None:
        held = [n for n, work in enumerate(self.works) if _holds(work, claim_id, executor)]
        free = [n for n in self.domain.queued() if self.works[n].status == "requested"]
        run = self._do(self.domain.poll(claim_id, executor))
        if run is None:
            assert not held
            assert not free
            return
        assert run.work in (held or free)
        self._note(run, self.works[run.work].say(run))

    def _note(self, call: Call, answer: Answer) -> None:
        """Remember whom the answer let run."""
        if isinstance(call, Claim | Run) and answer.startswith("RUN"):
            pair = Pair(int(answer.split()[1]), call.claim_id, call.principal)
            if (call.work, pair) not in self.runs:
                self.runs.append((call.work, pair))

    def _story(self, said: list[tuple[Call, Answer | None]], swept: int) -> list[WorkModel]:
        """The works after an order of these calls that explains every answer, and all that is seen now."""
        now = self.domain.seen()
        for order in itertools.permutations(said):
            works = deepcopy(self.works)
            answers = [(call, expected, works[call.work].say(call)) for call, expected in order]
            lapsed = sum(int(answer) for call, _, answer in answers if isinstance(call, Lapse))
            told = all(
                answer == expected if expected is not None else not isinstance(call, Run) or answer.startswith("RUN")
                for call, expected, answer in answers
            )
            if told and lapsed == swept and [seen(work) for work in works] == now:
                return works
        raise AssertionError(f"no order of {said} explains {now}")

    def _come_to_an_end(self) -> None:
        """Whatever is left comes to its end by itself; then facts, invitations and evidence are counted."""
        while any(work.status not in ENDED for work in self.works):
            for place in range(len(self.works)):
                self.lease_passes(place)
                self.wait_passes(place, deadline=True)
            self.sweep()
            self.agrees()
        self.relay()
        self._poll("the last", "ada")
        assert self.domain.invited() == set()
        self.domain.check_log()
        self.agrees()
        words = {n: work.last_word[0].attempt for n, work in enumerate(self.works) if work.last_word}
        assert self.domain.evidence() == words


def _holds(work: WorkModel, claim_id: str, executor: str) -> bool:
    holder = work.holder
    return holder is not None and (holder.pair.claim_id, holder.pair.principal) == (claim_id, executor)


def _forged(run: tuple[int, Pair], part: str) -> tuple[int, Pair]:
    """A pair of which one part is not what the Domain gave away."""
    work, pair = run
    wrong = {"claim_id": "guessed", "principal": "eve", "attempt": pair.attempt + 1}[part]
    return work, replace(pair, **{part: wrong})


def _words(run: tuple[int, Pair]) -> st.SearchStrategy[Call]:
    """What the executor of a run may say, however late it is."""
    work, pair = st.just(run[0]), st.just(run[1])
    return st.one_of(
        st.just(Claim(run[0], run[1].claim_id, run[1].principal)),
        st.builds(Heartbeat, work, pair, st.integers(0, 100)),
        st.builds(Outcome, work, pair, VERDICTS, WORDS),
        st.builds(Release, work, pair),
    )


def test_the_domain_does_what_the_model_does(databases: Databases, database: SpineDatabase) -> None:
    class OnItsOwn(Machine):
        def __init__(self) -> None:
            super().__init__(databases)

    run_state_machine_as_test(OnItsOwn, settings=size(courses=12, steps=50, shrink=False))
