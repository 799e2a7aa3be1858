"""What an executor is put through. Each scenario asks for works, lets something go wrong, and tells what it saw."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ameide_core_proto.transformation.work.v1 import command_service_pb as pb
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode, WorkRequest
from tests.kit.domain import LEASE_SECONDS, Tenant
from tests.kit.executor import Executor, running
from tests.kit.recording import Call, Plan, Recording
from tests.kit.repository import Repository
from tests.kit.rules import RuleBroken

# Long enough for a loaded machine; nothing waits for it when what is waited for comes.
PATIENCE = 40.0
# What a machine under load may add to an end that is due.
SLACK = 10.0
_DIES_WITHIN = 5.0
_AWAY_SECONDS = 1.5
_TRIES_A_SECOND = 15

Pair = tuple[str, int, str]


@dataclass
class Trial:
    """One executor before its Domain."""

    tenant: Tenant
    wire: Recording
    executor: Executor
    repository: Repository
    _long: int = 0
    # Where in the recording the present scenario begins.
    begun: int = 0

    def now(self) -> list[Call]:
        """The calls of the present scenario."""
        return self.wire.calls[self.begun :]

    def seen(self, last: int = 8) -> str:
        """The last calls, for people."""
        return "; ".join(str(call) for call in self.now()[-last:]) or "no call at all"

    async def need(self, rule: str, what: str, condition: Callable[[], bool], within: float = PATIENCE) -> None:
        """Wait for the condition. Raises RuleBroken when it does not come true."""
        if not await self.wire.until(condition, within):
            raise RuleBroken(rule, f"within {within:g} s {what}. The last calls: {self.seen()}")

    async def claimed(self, work: WorkRequest) -> Pair:
        """The pair under which the executor runs a work, once it got its RUN."""

        def run() -> list[Call]:
            # The poll may be one that began before this scenario.
            calls = [call for call in self.wire.calls if call.delivered and call.run]
            return [call for call in calls if call.run and call.run[0] == work.work_request_id]

        await self.need("claims-first", f"it did not claim {work.work_request_id}", lambda: bool(run()))
        pair = run()[-1].run
        assert pair is not None
        return pair

    async def outcome(self, rule: str, work: WorkRequest) -> Call:
        """The outcome of a work that the Domain took."""

        def taken() -> list[Call]:
            calls = [call for call in self.now() if call.method == "RecordWorkOutcome" and call.status == 200]
            return [call for call in calls if call.request.work_request_id == work.work_request_id and call.delivered]

        await self.need(rule, f"no outcome of {work.work_request_id} came", lambda: bool(taken()))
        return taken()[0]

    async def long_one(self) -> tuple[WorkRequest, Pair, str]:
        """A work whose child runs: the work, its pair, and the child's marker."""
        marker, commit = self.repository.markers[self._long], self.repository.long[self._long]
        self._long += 1
        work = await self.tenant.request(commit)
        pair = await self.claimed(work)
        await self.need("claims-first", "it did not run ./verify", lambda: bool(running(marker)))
        return work, pair, marker

    def since(self, call: Call) -> list[Call]:
        """What was said after a call."""
        place = next(place for place, known in enumerate(self.wire.calls) if known is call)
        return self.wire.calls[place + 1 :]

    def after(self, call: Call, pair: Pair) -> list[Call]:
        """What was said for a pair after a call."""
        return [later for later in self.since(call) if later.pair == pair]


async def green(trial: Trial) -> None:
    """A claim whose answer is lost, then a work that succeeds."""
    lost = trial.wire.plan(Plan("PollWork", when=lambda call: call.run is not None))
    work = await trial.tenant.request(trial.repository.green)
    await trial.need("claims-first", "it did not poll", lambda: lost.used is not None)
    first = lost.used
    assert first is not None

    def again() -> list[Call]:
        # A pool has several executors.
        polls = [call for call in trial.since(first) if call.method == "PollWork"]
        return [call for call in polls if call.request.queues == first.request.queues]

    await trial.need("same-claim-again", "it did not poll again after a lost answer", lambda: bool(again()))
    if again()[0].request.claim_id != first.request.claim_id:
        raise RuleBroken("same-claim-again", "after a lost answer it polled with another claim_id")
    call = await trial.outcome("outcome-with-evidence", work)
    if call.request.outcome is not pb.WorkOutcome.SUCCESS:
        raise RuleBroken("outcome-with-evidence", f"a green work ended as {call.request.outcome.name}")
    if call.request.attempt != 1:
        raise RuleBroken("same-claim-again", f"the work took {call.request.attempt} attempts")
    _need_evidence(trial, call)


async def red(trial: Trial) -> None:
    """A work that fails; the answers to its first upload and to its outcome are lost."""
    upload, lost = trial.wire.plan(Plan("PUT")), trial.wire.plan(Plan("RecordWorkOutcome"))
    work = await trial.tenant.request(trial.repository.red)
    call = await trial.outcome("same-outcome-again", work)
    first = lost.used
    assert first is not None
    if call.request != first.request:
        raise RuleBroken("same-outcome-again", "after a lost answer it sent another outcome")
    if not call.answer.idempotent_replay:
        raise RuleBroken("same-outcome-again", "the outcome was recorded twice")
    if call.request.outcome is not pb.WorkOutcome.FAILURE or not call.request.result.failure_code:
        code = FailureCode(call.request.result.failure_code).name
        raise RuleBroken("tells-failure", f"a red work ended as {call.request.outcome.name} with {code}")
    _need_evidence(trial, call)
    if upload.used is not None:
        path = upload.used.path
        bodies = [put.body for put in trial.now() if put.method == "PUT" and put.path == path]
        if len(bodies) < 2 or any(body != bodies[0] for body in bodies):
            raise RuleBroken("same-upload-again", f"{path.rpartition('/')[2]} came {len(bodies)} times, not alike")
    trial.wire.plans.remove(upload)


async def declined(trial: Trial) -> None:
    """A claim that is declined, then two works at once."""
    answer = pb.PollWorkResponse(answer=pb.ClaimAnswer.DECLINED_RUNNING_ELSEWHERE)
    plan = trial.wire.plan(Plan("PollWork", answer))
    await trial.need("declined-is-fine", "it did not poll", lambda: plan.used is not None)
    assert plan.used is not None
    claim_id = plan.used.request.claim_id
    works = [await trial.tenant.request(trial.repository.green) for _ in range(2)]
    for work in works:
        await trial.outcome("declined-is-fine", work)
    said = [call for call in trial.now() if call.pair and call.pair[2] == claim_id]
    if said:
        raise RuleBroken("declined-is-fine", f"for a declined claim it said {said[0]}")


async def canceled(trial: Trial) -> None:
    """A work whose lease is extended, until it is canceled."""
    work, pair, marker = await trial.long_one()
    claim = next(call for call in trial.wire.calls if call.run == pair)

    def beats() -> list[Call]:
        found = [call for call in trial.after(claim, pair) if call.method == "RecordWorkHeartbeat"]
        return [call for call in found if call.status == 200]

    await trial.need("heartbeats-in-time", "no two heartbeats came", lambda: len(beats()) > 1, 3 * LEASE_SECONDS)
    held, last = claim.at + claim.answer.lease_seconds, claim
    for beat in beats():
        if beat.at > held:
            raise RuleBroken("heartbeats-in-time", f"{beat.at - last.at:.1f} s lie between {last} and {beat}")
        held, last = beat.at + beat.answer.lease_seconds, beat
    await trial.tenant.cancel(work)
    call = await trial.outcome("cancel-honoured", work)
    if call.request.outcome is not pb.WorkOutcome.CANCELED:
        raise RuleBroken("cancel-honoured", f"a canceled work ended as {call.request.outcome.name}")
    await trial.need("cancel-honoured", "its child was still running", lambda: not running(marker), SLACK)


async def fenced(trial: Trial) -> None:
    """A work that another executor takes over while the child runs."""
    work, pair, marker = await trial.long_one()
    # The executor could be quicker than the rival.
    trial.wire.held.add("PollWork")
    try:
        await trial.wire.until(lambda: trial.tenant.lost(work, pair[1]), PATIENCE)
        await trial.tenant.take_over(work)
    finally:
        trial.wire.held.clear()

    def fences() -> list[Call]:
        return [call for call in trial.now() if call.pair == pair and call.code == "aborted" and call.delivered]

    await trial.need("fenced", "it did not ask for its lease again", lambda: bool(fences()))
    fence = fences()[0]

    def over() -> bool:
        return bool(trial.after(fence, pair)) or (_polled(trial, fence) and not running(marker))

    await trial.wire.until(over, _DIES_WITHIN)
    if said := trial.after(fence, pair):
        raise RuleBroken("fenced", f"after {fence} it said {said[0]}")
    if running(marker):
        raise RuleBroken("fenced", f"its child was still running {_DIES_WITHIN:g} s after {fence}")
    await trial.need("fenced", "it did not go on to other work", lambda: _polled(trial, fence))


async def unanswered(trial: Trial) -> None:
    """The Domain is out of reach for longer than the lease lasts, and comes back."""
    work, pair, marker = await trial.long_one()
    trial.wire.away = "hang"
    try:
        answered = [call for call in trial.wire.calls if (call.run == pair or call.pair == pair) and call.status == 200]
        end = max(call.at + call.answer.lease_seconds for call in answered if hasattr(call.answer, "lease_seconds"))
        await trial.wire.until(lambda: not running(marker) or time.monotonic() > end + SLACK, PATIENCE)
        if running(marker):
            raise RuleBroken("self-fence", f"its child was still running {SLACK:g} s after the lease had ended")
        await trial.wire.until(lambda: time.monotonic() > end + 1, PATIENCE)
        late = [call for call in trial.now() if call.pair == pair and call.at > end + 0.5]
        if late:
            raise RuleBroken("self-fence", f"{late[0].at - end:.1f} s after the lease had ended it said {late[0]}")
        trial.wire.away = "cut"
        begun, count = time.monotonic(), len(trial.wire.calls)
        await trial.tenant.cancel(work)
        await trial.wire.until(lambda: time.monotonic() > begun + _AWAY_SECONDS, PATIENCE)
        tries = len(trial.wire.calls) - count
        if tries > _TRIES_A_SECOND * _AWAY_SECONDS:
            raise RuleBroken("backs-off", f"it tried {tries} times within {_AWAY_SECONDS:g} s")
    finally:
        trial.wire.away = ""
    await trial.outcome("backs-off", await trial.tenant.request(trial.repository.green))


async def terminated(trial: Trial) -> None:
    """SIGTERM while the child runs."""
    work, pair, marker = await trial.long_one()
    code = await trial.executor.leave(PATIENCE)
    if code != 0:
        raise RuleBroken("sigterm-releases", "it did not exit" if code is None else f"it exited {code}")
    await trial.need("sigterm-releases", "its child was still running", lambda: not running(marker), SLACK)
    said = [call.method for call in trial.now() if call.pair == pair and call.method != "RecordWorkHeartbeat"]
    if said[-1:] != ["ReleaseWork"] or trial.tenant.ended_by(work, pair[1]) != "released":
        raise RuleBroken("sigterm-releases", f"the claim was not given back; it said {said or 'nothing'}")
    await trial.tenant.cancel(work)


SCENARIOS: Mapping[str, Callable[[Trial], Awaitable[None]]] = MappingProxyType(
    {
        "green": green,
        "red": red,
        "declined": declined,
        "canceled": canceled,
        "fenced": fenced,
        "unanswered": unanswered,
        "terminated": terminated,
    }
)


def _polled(trial: Trial, after: Call) -> bool:
    return any(call.method in ("PollWork", "RecordWorkStarted") for call in trial.since(after))


def _need_evidence(trial: Trial, call: Call) -> None:
    """Raises RuleBroken unless every artifact of the outcome is stored as it says, and there is one."""
    artifacts = call.request.evidence.artifacts
    if not artifacts:
        raise RuleBroken("outcome-with-evidence", "the outcome names no artifact")
    assert call.pair is not None
    for artifact in artifacts:
        try:
            data = trial.tenant.evidence(call.pair, artifact.name)
        except FileNotFoundError:
            raise RuleBroken("outcome-with-evidence", f"{artifact.uri} is not stored") from None
        if hashlib.sha256(data).hexdigest() != artifact.sha256:
            raise RuleBroken("outcome-with-evidence", f"{artifact.uri} has another SHA-256 than the outcome says")
