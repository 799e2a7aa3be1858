"""Reserve, use, settle, talk: what is used of a change, and of a tenant, never adds up to more than its budget."""

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
from protobuf.wkt import Timestamp

from ameide.contracts.usage import tokens_of
from ameide.domain.decisions import tenant_budget, work_budget, work_lapse, work_outcome
from ameide.domain.decisions.work import ENDED, Claim
from ameide.errors import Refused
from ameide_core_proto.transformation.governance.v1.governance_pb import Change, TenantBudget
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.work.v1.work_pb import Budget, Usage, WorkKind, WorkRequest, WorkStatus
from tests.models.sizes import size

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLACE = st.integers(0, 10**6)


@dataclass
class Spending:
    """One work: what it may still use, what its ended attempts used, what the running one has used."""

    change: int
    reserved: int
    limited: bool
    settled: int = 0
    running: int | None = None
    ended: bool = False
    # Used beyond what an attempt was given.
    over: int = 0

    def committed(self) -> int:
        """What of the change's budget it holds."""
        return self.settled if self.ended else self.settled + max(self.reserved, self.running or 0)

    def booked(self) -> int:
        """What of the tenant's: its account hears of an attempt when it ends."""
        return self.settled + (0 if self.ended else self.reserved)

    def end_attempt(self) -> int:
        """What the attempt used is settled; returns it."""
        used, self.running = self.running or 0, None
        self.settled += used
        if self.limited:
            self.over += max(used - self.reserved, 0)
            self.reserved = max(self.reserved - used, 0)
        return used


@dataclass
class Stored:
    """The same work as the Domain stores it, with its row in the tenant's account."""

    work: WorkRequest
    claims: list[Claim] = field(default_factory=list[Claim])
    used: int = 0

    def held(self) -> int:
        """What its row says that it holds."""
        return 0 if self.work.status in ENDED else (self.work.budget or Budget()).max_tokens


class Machine(RuleBasedStateMachine):
    """The works of two changes with a limit of tokens each, of a tenant that may have another one."""

    @initialize(
        limits=st.tuples(st.integers(1, 1000), st.integers(1, 1000)),
        cap=st.sampled_from([0, 100, 300]),
        tenant=st.sampled_from([0, 200, 700, 5000]),
    )
    def begin(self, limits: tuple[int, int], cap: int, tenant: int) -> None:
        self.limits, self.cap, self.tenant = limits, cap, tenant
        self.changes = [Change(change_id=f"chg-{n}", budget=Budget(max_tokens=limit)) for n, limit in enumerate(limits)]
        self.policy = Policy(work_budget=Budget(max_tokens=cap))
        self.spent: list[Spending] = []
        self.stored: list[Stored] = []
        # What conversations used of each change, and what of it went beyond what nobody used or held.
        self.talked, self.beyond = [0, 0], [0, 0]

    @rule(change=st.integers(0, 1), asked=st.integers(0, 400), agent=st.booleans())
    def request(self, change: int, asked: int, agent: bool) -> None:
        work = WorkRequest(
            work_request_id=f"wrk-{len(self.stored)}",
            change_id=f"chg-{change}",
            work_kind=WorkKind.AGENT_WORK if agent else WorkKind.TOOL_RUN,
            budget=Budget(max_tokens=asked),
            status=WorkStatus.REQUESTED,
        )
        counted = work_budget.is_counted(work)
        assert counted == (agent or asked > 0)
        lefts = [self._left(change)]
        if self.tenant and counted:
            lefts.append(self.tenant - sum(self.talked) - sum(one.booked() for one in self.spent))
        wanted = min(asked, self.cap) if self.cap and asked else asked
        if agent and not asked:
            # An agent that names no limit gets the policy's, else all that is left, and at least something.
            wanted = self.cap or max(min(lefts), 1)
        if wanted > min(lefts):
            with pytest.raises(Refused) as refused:
                self._reserve(work, change)
            assert refused.value.reason == "BUDGET_EXHAUSTED"
            return
        work.budget = self._reserve(work, change)
        assert work.budget.max_tokens == wanted
        self.stored.append(Stored(work))
        self.spent.append(Spending(change, wanted, limited=wanted > 0))

    @rule(change=st.integers(0, 1), tokens=st.integers(1, 200))
    def talk(self, change: int, tokens: int) -> None:
        """A model is asked while the budgets are not used up, and its answer counts, whatever works hold."""
        used = sum(one.settled for one in self.spent if one.change == change) + self.talked[change]
        counted = sum(one.used for one in self.stored) + sum(self.talked)
        works, claims = self._of(change)
        own = work_budget.account_of(self.policy, self.changes[change], works, claims, self._usage(change))
        accounts = [own, *([self._account()] if self.tenant else [])]
        unused = [self.limits[change] - used, *([self.tenant - counted] if self.tenant else [])]
        assert work_budget.unused_of(accounts).max_tokens == max(min(unused), 1)
        if min(unused) <= 0:
            with pytest.raises(Refused) as refused:
                work_budget.need_unused(accounts)
            assert refused.value.reason == "BUDGET_EXHAUSTED"
            return
        work_budget.need_unused(accounts)
        self.beyond[change] += max(tokens - max(self._left(change), 0), 0)
        self.talked[change] += tokens

    def _left(self, change: int) -> int:
        committed = sum(one.committed() for one in self.spent if one.change == change)
        return self.limits[change] - self.talked[change] - committed

    def _reserve(self, work: WorkRequest, change: int) -> Budget:
        account = self._account() if self.tenant and work_budget.is_counted(work) else None
        works, claims = self._of(change)
        talked = self._usage(change)
        return work_budget.reserve(work, self.policy, self.changes[change], [], works, claims, account, talked)

    def _of(self, change: int) -> tuple[list[WorkRequest], list[Claim]]:
        own = [one for one in self.stored if one.work.change_id == f"chg-{change}"]
        return [one.work for one in own], [claim for one in own for claim in one.claims]

    def _usage(self, change: int) -> Usage:
        return Usage(output_tokens=self.talked[change])

    def _account(self) -> work_budget.Account:
        allotted = TenantBudget(budget=Budget(max_tokens=self.tenant))
        used = Budget(max_tokens=sum(one.used for one in self.stored) + sum(self.talked))
        held = Budget(max_tokens=sum(one.held() for one in self.stored))
        return tenant_budget.account(allotted, used, held)

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
    @rule(place=PLACE)
    def finish(self, place: int) -> None:
        """An outcome ends the work with its attempt."""
        spent, stored = self._at(place)
        if spent.running is None:
            return
        self._end_claim(stored, "failed")
        spent.end_attempt()
        spent.ended, stored.work.status = True, WorkStatus.FAILED

    @precondition(lambda self: self.spent)
    @rule(place=PLACE, lost=st.booleans())
    def let_go(self, place: int, lost: bool) -> None:
        """A lost or released claim ends the attempt; the next one has the rest of the budget, or there is none."""
        spent, stored = self._at(place)
        if spent.running is None:
            return
        usage = self._end_claim(stored, "lease_lost" if lost else "released")
        stored.work.lost_claim_retries = 100
        decide = work_lapse.lose_claim if lost else work_lapse.give_back
        decided = decide(stored.work, usage, NOW)
        spent.end_attempt()
        if spent.limited and not spent.reserved:
            assert not isinstance(decided, WorkRequest)
            assert decided.work is not None
            spent.ended, stored.work = True, decided.work
            return
        assert isinstance(decided, WorkRequest)
        assert (decided.budget or Budget()).max_tokens == spent.reserved
        stored.work = decided

    @precondition(lambda self: self.spent)
    @rule(place=PLACE)
    def cancel(self, place: int) -> None:
        """A work that nobody runs is canceled, and holds nothing any more."""
        spent, stored = self._at(place)
        if spent.ended or spent.running is not None:
            return
        last = stored.claims[-1].usage if stored.claims else Usage()
        canceled = work_outcome.cancel_unclaimed(stored.work, "", last, Timestamp.from_datetime(NOW)).work
        assert canceled is not None
        spent.ended, stored.work = True, canceled

    def _end_claim(self, stored: Stored, how: str) -> Usage:
        usage = stored.claims[-1].usage
        stored.claims[-1] = replace(stored.claims[-1], ended_at=NOW, ended_by=how)
        if work_budget.is_counted(stored.work):
            stored.used += tokens_of(usage)
        return usage

    def _at(self, place: int) -> tuple[Spending, Stored]:
        return self.spent[place % len(self.spent)], self.stored[place % len(self.stored)]

    @invariant()
    def what_was_granted_fits(self) -> None:
        """Beyond the limits is only what attempts used beyond what they were given, lost ones included, and answers."""
        for change, limit in enumerate(self.limits):
            own = [one for one in self.spent if one.change == change]
            running = sum(max((one.running or 0) - one.reserved, 0) for one in own)
            unlimited = sum(one.settled for one in own if not one.limited)
            granted = limit + self.beyond[change] + running + unlimited + sum(one.over for one in own)
            assert self.talked[change] + sum(one.committed() for one in own) <= granted

    @invariant()
    def the_tenant_s_account_says_what_the_works_do(self) -> None:
        """No row counts twice, none keeps what its work has let go of."""
        for spent, stored in zip(self.spent, self.stored, strict=True):
            counted = work_budget.is_counted(stored.work)
            assert (stored.used, stored.held()) == (
                spent.settled if counted else 0,
                0 if spent.ended else spent.reserved,
            )


def test_budgets_do_what_the_model_does() -> None:
    run_state_machine_as_test(Machine, settings=size(courses=80, steps=30))
