"""What holds all the time: rules that are judged by everything an executor has said."""

from __future__ import annotations

from collections.abc import Sequence

from tests.kit.recording import Call
from tests.kit.rules import RuleBroken

_ENDS = ("RecordWorkOutcome", "ReleaseWork")
_ON_THE_WAY = 2.0
Pair = tuple[str, int, str]


def broken(calls: Sequence[Call], queues: Sequence[str], slots: int, killed: Sequence[int] = ()) -> list[RuleBroken]:
    """The rules that a whole recording breaks; at the places `killed` the kit ended the executor and what it held."""
    checks = (_claims_first(calls), _claim_ids(calls), _queues(calls, queues), _at_a_time(calls, slots, killed))
    return [found for found in checks if found is not None]


def _claims_first(calls: Sequence[Call]) -> RuleBroken | None:
    claimed: set[Pair] = set()
    for call in calls:
        if call.run and call.delivered:
            claimed.add(call.run)
        if call.pair is not None and call.pair not in claimed:
            return RuleBroken("claims-first", f"{call} names an attempt that it had no RUN for")
    return None


def _claim_ids(calls: Sequence[Call]) -> RuleBroken | None:
    used: set[str] = set()
    for call in calls:
        if call.run and call.delivered:
            if call.request.claim_id in used:
                return RuleBroken("same-claim-again", f"{call} has the claim_id of an earlier claim")
            used.add(call.request.claim_id)
    return None


def _queues(calls: Sequence[Call], queues: Sequence[str]) -> RuleBroken | None:
    for call in calls:
        if call.method == "PollWork" and (others := set(call.request.queues) - set(queues)):
            return RuleBroken("only-its-queues", f"it polled {', '.join(sorted(others))}")
    return None


def _at_a_time(calls: Sequence[Call], slots: int, killed: Sequence[int]) -> RuleBroken | None:
    held: dict[Pair, Call] = {}
    for place, call in enumerate(calls):
        if place in killed:
            held.clear()
        if call.pair in held and (call.method in _ENDS or call.code == "aborted"):
            del held[call.pair]
        if call.run and call.delivered:
            # A claim whose lease ran out unanswered is over too, though nobody said so.
            held = {pair: claim for pair, claim in held.items() if not _given_up(calls, claim, call)}
            held[call.run] = call
            if len(held) > slots:
                return RuleBroken("one-at-a-time", f"{call} came while {next(iter(held.values()))} was held")
    return None


def _given_up(calls: Sequence[Call], claim: Call, later: Call) -> bool:
    end = max(
        call.at + call.answer.lease_seconds
        for call in calls
        if (call.run == claim.run or call.pair == claim.run) and hasattr(call.answer, "lease_seconds")
    )
    # Counted from when the executor sent it, which is a moment before it is seen here.
    return later.at > end - _ON_THE_WAY
