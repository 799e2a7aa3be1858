"""Reserve, use, settle: what the works of a change may use never adds up to more than its budget."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ameide.domain.decisions import work_budget
from ameide.domain.decisions.work import Claim
from ameide.errors import Refused
from ameide_core_proto.transformation.governance.v1.governance_pb import Change
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.work.v1.work_pb import Budget, Usage, WorkKind, WorkRequest, WorkStatus
from tests.models.sizes import size

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLACE = st.integers(0, 10**6)


@dataclass
class Spending:
    """One work: what it may use, what its ended attempts used, what the running one has used."""

    reserved: int
    settled: int = 0
    running: int | None = None
    ended: bool = False

    def committed(self) -> int:
        """What of the change's budget it holds."""
        return self.settled if self.ended else self.settled + max(self.reserved, self.running or 0)


@dataclass
class Stored:
    """The same work as the Domain stores it."""

    work: WorkRequest
    claims: list[Claim] = field(default_factory=list[Claim])


class Machine(RuleBasedStateMachine):
    """The works of one change with a limit of tokens."""

    @initialize(limit=st.integers(1, 1000), cap=st.sampled_from([0, 100, 300]))
    def begin(self, limit: int, cap: int) -> None:
        self.limit, self.cap = limit, cap
        self.change = Change(change_id="chg-1", budget=Budget(max_tokens=limit))
        self.policy = Policy(work_budget=Budget(max_tokens=cap))
        self.spent: list[Spending] = []
        self.stored: list[Stored] = []

    @rule(asked=st.integers(0, 400), agent=st.booleans())
    def request(self, asked: int, agent: bool) -> None:
        work = WorkRequest(
            work_request_id=f"wrk-{len(self.stored)}",
            work_kind=WorkKind.AGENT_WORK if agent else WorkKind.TOOL_RUN,
            budget=Budget(max_tokens=asked),
            status=WorkStatus.REQUESTED,
        )
        left = self.limit - sum(one.committed() for one in self.spent)
        wanted = min(asked, self.cap) if self.cap and asked else asked
        if agent and not asked:
            # An agent that names no limit gets the policy's, else all that is left, and at least something.
            wanted = self.cap or max(left, 1)
        works, claims = [one.work for one in self.stored], [claim for one in self.stored for claim in one.claims]
        if wanted > left:
            with pytest.raises(Refused) as refused:
                work_budget.reserve(work, self.policy, self.change, [], works, claims)
            assert refused.value.reason == "BUDGET_EXHAUSTED"
            return
        work.budget = work_budget.reserve(work, self.policy, self.change, [], works, claims)
        assert work.budget.max_tokens == wanted
        self.stored.append(Stored(work))
        self.spent.append(Spending(wanted))

    @precondition(lambda self: self.spent)
    @rule(place=PLACE, tokens=st.integers(0, 200))
    def run(self, place: int, tokens: int) -> None:
        """A claim, or a heartbeat of the one that runs. An executor may have used more than it was given."""
        spent, stored = self._at(place)
        if spent.ended:
            return
        usage = Usage(input_tokens=tokens // 2, output_tokens=tokens - tokens // 2)
        if spent.running is None:
            attempt = len(stored.claims) + 1
            stored.claims.append(Claim(stored.work.work_request_id, attempt, "c", "coder", NOW, usage, None, ""))
            stored.work.status = WorkStatus.STARTED
        else:
            stored.claims[-1] = replace(stored.claims[-1], usage=usage)
        spent.running = tokens

    @precondition(lambda self: self.spent)
    @rule(place=PLACE, ended=st.booleans())
    def settle(self, place: int, ended: bool) -> None:
        """An outcome ends the work; a lost or released claim ends only the attempt."""
        spent, stored = self._at(place)
        if spent.running is None:
            return
        stored.claims[-1] = replace(stored.claims[-1], ended_at=NOW, ended_by="failed" if ended else "lease_lost")
        stored.work.status = WorkStatus.FAILED if ended else WorkStatus.REQUESTED
        spent.settled, spent.running, spent.ended = spent.settled + spent.running, None, ended

    def _at(self, place: int) -> tuple[Spending, Stored]:
        return self.spent[place % len(self.spent)], self.stored[place % len(self.stored)]

    @invariant()
    def what_was_granted_fits(self) -> None:
        """Beyond the limit is only what executors used beyond what they were given."""
        overrun = sum(max(one.committed() - one.reserved, 0) for one in self.spent)
        assert sum(one.committed() for one in self.spent) <= self.limit + overrun


def test_budgets_do_what_the_model_does() -> None:
    run_state_machine_as_test(Machine, settings=size(courses=80, steps=30))
