"""The calls, said to the pure decisions with a list for a database: what the commands do around them, and no more."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from protobuf import Message
from protobuf.wkt import Timestamp

from ameide.domain.aggregates import state_of
from ameide.domain.decisions import work_claim, work_lapse, work_outcome
from ameide.domain.decisions.default_policy import default_policy
from ameide.domain.decisions.work import ENDED, waiting_from, waiting_longer
from ameide.domain.decisions.work import Claim as Held
from ameide.domain.decisions.work_claim import Lease
from ameide.domain.decisions.work_request import Grounds, request
from ameide.errors import Conflict, Fenced, InvalidArgument
from ameide_core_proto.common.v1.metadata_pb import Actor, Scope
from ameide_core_proto.transformation.governance.v1.governance_pb import Repository
from ameide_core_proto.transformation.work.v1.command_service_pb import (
    ClaimAnswer,
    RecordWorkOutcomeRequest,
    RequestWorkRequest,
    WorkOutcome,
)
from ameide_core_proto.transformation.work.v1.facts_pb import WorkRequested
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    EvidenceBundle,
    FailureCode,
    Usage,
    WorkKind,
    WorkRequest,
    WorkResult,
    WorkStatus,
)
from tests.models.calls import Answer, Call, Cancel, Claim, Heartbeat, Lapse, Outcome, Pair, Release, Run
from tests.models.work_model import Seen

REPOSITORY = Repository(
    scope=Scope(tenant_id="default"), repository_id="orders", url="file:///srv/orders", default_branch="main"
)
LEASE_SECONDS = 30.0
OUTCOMES = {"succeeded": WorkOutcome.SUCCESS, "failed": WorkOutcome.FAILURE, "canceled": WorkOutcome.CANCELED}


@dataclass
class Row:
    """A work with its claims and what was stated about it."""

    work: WorkRequest
    announce_at: datetime
    claim_deadline: datetime
    claims: list[Held] = field(default_factory=list[Held])
    leases: list[Lease] = field(default_factory=list[Lease])
    facts: list[Message] = field(default_factory=list[Message])


class Decisions:
    """All works that were requested, on a clock of its own."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.rows: list[Row] = []

    @property
    def timestamp(self) -> Timestamp:
        """The clock as a message field."""
        return Timestamp.from_datetime(self.now)

    def request(self) -> None:
        """RequestWork of a verification."""
        command = RequestWorkRequest(
            client_request_id="r",
            repository_id="orders",
            work_kind=WorkKind.TOOL_RUN,
            action_kind=ActionKind.VERIFY,
            commit_sha="a" * 40,
        )
        grounds = Grounds(REPOSITORY, default_policy("orders", gitops=False))
        [fact] = request(command, f"wrk-{len(self.rows)}", grounds, Actor(principal_id="process"), self.timestamp)
        assert isinstance(fact, WorkRequested)
        assert fact.work is not None
        waiting = waiting_from(fact.work, self.now)
        self.rows.append(Row(fact.work, waiting.announce_at, waiting.claim_deadline, facts=[fact]))

    def let_lease_pass(self, work: int) -> None:
        """As if nobody had extended it in time."""
        row = self.rows[work]
        if row.leases:
            row.leases[-1] = replace(row.leases[-1], until=self.now)

    def let_wait_pass(self, work: int, *, deadline: bool) -> None:
        """As if nobody had claimed it until its next announcement, or until its deadline."""
        row = self.rows[work]
        row.announce_at = self.now
        if deadline:
            row.claim_deadline = self.now

    def say(self, call: Call) -> Answer:
        """Say it, and give the answer in the model's words."""
        self.now += timedelta(seconds=1)
        try:
            return self._say(self.rows[call.work], call)
        except Fenced:
            return "FENCED"
        except Conflict:
            return "CONFLICT"
        except InvalidArgument:
            return "INVALID"

    def _say(self, row: Row, call: Call) -> Answer:
        match call:
            case Claim(_, claim_id, principal) | Run(_, claim_id, principal):
                return self._claim(row, claim_id, principal)
            case Heartbeat(_, pair, tokens):
                held = self._current(row, pair)
                row.claims[-1] = replace(held, usage=Usage(input_tokens=tokens))
                self._extend(row)
                return "CANCEL" if row.work.cancel_requested else "GO_ON"
            case Outcome(_, pair, verdict, word):
                return self._outcome(row, pair, verdict, word)
            case Release(_, pair):
                held = self._current(row, pair)
                self._end(row, "released", held.usage)
                decided = work_lapse.give_back(row.work, held.usage, self.now)
                if isinstance(decided, WorkRequest):
                    self._again(row, decided)
                else:
                    self._state(row, decided)
            case Cancel():
                if row.work.status == WorkStatus.STARTED:
                    row.work = work_outcome.ask_to_cancel(row.work)
                elif row.work.status not in ENDED:
                    self._state(row, work_outcome.cancel_unclaimed(row.work, "", Usage(), self.timestamp))
            case Lapse():
                return str(int(self._lapse(row)))
        return row.work.status.name.lower()

    def _claim(self, row: Row, claim_id: str, principal: str) -> Answer:
        current = row.claims[-1] if row.claims else None
        answer = work_claim.answer(row.work, current, claim_id, principal)
        if answer != ClaimAnswer.RUN:
            return answer.name
        if current is not None and current.ended_at is None:
            self._extend(row)
        else:
            fact = work_claim.start(row.work, principal, self.timestamp)
            self._state(row, fact)
            lease = work_claim.lease_for(row.work, self.now, LEASE_SECONDS)
            row.leases.append(lease)
            row.claims.append(
                Held(
                    row.work.work_request_id,
                    row.work.attempt,
                    claim_id,
                    principal,
                    lease.run_until,
                    Usage(),
                    None,
                    "",
                )
            )
        return f"RUN {row.work.attempt}"

    def _outcome(self, row: Row, pair: Pair, verdict: str, word: str) -> Answer:
        result = WorkResult(summary=word)
        if verdict == "failed":
            result.failure_code = FailureCode.TOOL_FAILED
        command = RecordWorkOutcomeRequest(
            work_request_id=row.work.work_request_id,
            attempt=pair.attempt,
            claim_id=pair.claim_id,
            outcome=OUTCOMES[verdict],
            result=result,
            evidence=EvidenceBundle(
                evidence_bundle_id=f"evd-{pair.attempt}",
                work_request_id=row.work.work_request_id,
                attempt=pair.attempt,
            ),
        )
        held = self._named(row, pair)
        if work_outcome.is_replay(row.work, held, command, pair.principal):
            return "REPLAY"
        held = self._current(row, pair)
        fact = work_outcome.end(row.work, held, command, pair.principal, self.timestamp)
        assert fact.work is not None
        assert fact.work.result is not None
        self._end(row, fact.work.status.name.lower(), fact.work.result.usage or Usage())
        self._state(row, fact)
        return "RECORDED"

    def _lapse(self, row: Row) -> bool:
        if row.work.status == WorkStatus.STARTED and row.leases[-1].until < self.now:
            usage = row.claims[-1].usage
            self._end(row, "lease_lost", usage)
            decided = work_lapse.lose_claim(row.work, usage, self.now)
            if isinstance(decided, WorkRequest):
                self._again(row, decided)
            else:
                self._state(row, decided)
            return True
        if row.work.status == WorkStatus.REQUESTED and row.announce_at < self.now:
            decided = work_lapse.wait_on(row.work, row.claim_deadline, self.now)
            if isinstance(decided, WorkRequest):
                longer = waiting_longer(decided, row.claim_deadline, self.now)
                assert self.now < longer.announce_at <= longer.claim_deadline == row.claim_deadline
                row.work, row.announce_at = decided, longer.announce_at
            else:
                self._state(row, decided)
            return True
        return False

    def _named(self, row: Row, pair: Pair) -> Held | None:
        return next((held for held in row.claims if held.attempt == pair.attempt), None)

    def _current(self, row: Row, pair: Pair) -> Held:
        return work_claim.need_current(row.work, self._named(row, pair), pair.attempt, pair.claim_id, pair.principal)

    def _extend(self, row: Row) -> None:
        lease = row.leases[-1]
        row.leases[-1] = replace(lease, until=min(self.now + timedelta(seconds=LEASE_SECONDS), lease.run_until))

    def _end(self, row: Row, how: str, usage: Usage) -> None:
        row.claims[-1] = replace(row.claims[-1], ended_at=self.now, ended_by=how, usage=usage)

    def _again(self, row: Row, work: WorkRequest) -> None:
        waiting = waiting_from(work, self.now)
        row.work, row.announce_at, row.claim_deadline = work, waiting.announce_at, waiting.claim_deadline

    def _state(self, row: Row, fact: Message) -> None:
        state = state_of(fact)
        assert isinstance(state, WorkRequest)
        row.work = state
        row.facts.append(fact)

    def seen(self) -> list[Seen]:
        """Every work as it would be stored."""
        return [_seen(row) for row in self.rows]


def _seen(row: Row) -> Seen:
    assert [state_of(fact).version for fact in row.facts] == list(range(1, row.work.version + 1))
    assert row.work.attempt == len(row.claims)
    return Seen(
        row.work.status.name.lower(),
        row.work.version,
        row.work.dispatch,
        row.work.lost_claims,
        row.work.cancel_requested,
        tuple(
            (Pair(held.attempt, held.claim_id, held.principal_id), held.ended_by, held.usage.input_tokens)
            for held in row.claims
        ),
        tuple(type(fact).__name__ for fact in row.facts),
    )
