"""Claim, heartbeat, outcome, release, cancel and lapse: the pure decisions against the model."""

from __future__ import annotations

from copy import deepcopy

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.models.calls import Answer, Call, Cancel, Claim, Heartbeat, Lapse, Outcome, Pair, Release
from tests.models.decisions import Decisions
from tests.models.sizes import size
from tests.models.work_model import ENDED, Seen, WorkModel, check, seen

EXECUTORS = st.sampled_from(["ada", "ben"])
CLAIMS = st.sampled_from(["claim 1", "claim 2", "claim 3"])


class Machine(RuleBasedStateMachine):
    """One work and all that can be said of it, pairs that never were included."""

    @initialize()
    def begin(self) -> None:
        self.decisions = Decisions()
        self.decisions.request()
        self.work = WorkModel()
        self.ended: Seen | None = None

    def _say(self, call: Call) -> Answer:
        expected = self.work.say(call)
        assert self.decisions.say(call) == expected
        return expected

    @rule(claim=CLAIMS, executor=EXECUTORS)
    def claim(self, claim: str, executor: str) -> None:
        self._say(Claim(0, claim, executor))

    def _pair(self, data: st.DataObject) -> Pair:
        known = [attempt.pair for attempt in self.work.attempts]
        forged = st.builds(Pair, st.integers(0, len(known) + 1), CLAIMS, EXECUTORS)
        return data.draw(st.sampled_from(known[-2:]) | forged if known else forged, "pair")

    @rule(data=st.data(), tokens=st.integers(0, 9))
    def heartbeat(self, data: st.DataObject, tokens: int) -> None:
        self._say(Heartbeat(0, self._pair(data), tokens))

    @rule(
        data=st.data(),
        verdict=st.sampled_from(["succeeded", "failed", "canceled"]),
        word=st.sampled_from(["green", "red"]),
        late=st.booleans(),
    )
    def outcome(self, data: st.DataObject, verdict: str, word: str, late: bool) -> None:
        pair = self._pair(data)
        if late:
            self.decisions.let_lease_pass(0)
        self._say(Outcome(0, pair, verdict, word))
        if late:
            self.work.lease_passed = self.work.status == "started"

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        self._say(Release(0, self._pair(data)))

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self._say(Cancel(0, data.draw(st.uuids().map(str))))

    @rule()
    def lapse(self) -> None:
        self._say(Lapse(0))

    @precondition(lambda self: self.work.status == "started")
    @rule()
    def executor_is_lost(self) -> None:
        self.decisions.let_lease_pass(0)
        self.work.lease_passed = True
        assert self._say(Lapse(0)) == "1"

    @precondition(lambda self: self.work.status == "requested")
    @rule(deadline=st.sampled_from([False, False, True]))
    def wait_passes(self, deadline: bool) -> None:
        self.decisions.let_wait_pass(0, deadline=deadline)
        self.work.announcement_due = True
        self.work.deadline_passed |= deadline

    @invariant()
    def agrees(self) -> None:
        check(self.work)
        assert self.decisions.seen() == [seen(self.work)]

    @invariant()
    def an_ended_work_never_changes(self) -> None:
        [now] = self.decisions.seen()
        assert self.ended in (None, now)
        if self.work.status in ENDED:
            self.ended = now

    @invariant()
    def no_other_pair_has_a_say(self) -> None:
        """What would be answered to each pair that was ever known, tried on a copy."""
        for attempt in self.work.attempts[:-1]:
            before = self.decisions.seen()
            for call in (Heartbeat(0, attempt.pair, 1), Release(0, attempt.pair)):
                assert deepcopy(self.decisions).say(call) == "FENCED"
            assert self.decisions.seen() == before


def test_the_decisions_do_what_the_model_does() -> None:
    run_state_machine_as_test(Machine, settings=size(courses=60, steps=30))
