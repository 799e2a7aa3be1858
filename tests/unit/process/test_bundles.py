"""Which facts travel with later ones, and for how long they wait for them."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

from ameide.events.messages import LoggedMessage
from ameide.process.bundles import Waiting, bundles
from tests.log.world import message

_positions = count(1)


def fact(work: str, version: int, name: str, *, redriven: bool = False) -> LoggedMessage:
    """A fact of a work, later in the log than those made before."""
    said = replace(message(work, version), name=name)
    return LoggedMessage(position=next(_positions), redriven=redriven, **{c: getattr(said, c) for c in said.__slots__})


def names(found: list[list[LoggedMessage]]) -> list[list[str]]:
    return [[message.name for message in bundle] for bundle in found]


def test_a_later_fact_of_a_work_takes_its_beginnings_along() -> None:
    messages = [fact("w", 1, "WorkRequested"), fact("w", 2, "WorkStarted"), fact("w", 3, "WorkCompleted")]
    assert bundles(messages) == [messages]
    assert bundles(messages[:2]) == [messages[:2]]


def test_works_and_gates_between_them_keep_their_places() -> None:
    gate = replace(fact("g", 4, "GateDecided"), aggregate_type="gate")
    messages = [fact("w", 1, "WorkRequested"), fact("v", 2, "WorkStarted"), gate, fact("w", 2, "WorkFailed")]
    assert names(bundles(messages)) == [["WorkStarted"], ["GateDecided"], ["WorkRequested", "WorkFailed"]]


def test_an_outcome_is_never_left_to_a_later_fact() -> None:
    messages = [fact("w", 3, "WorkFailed"), fact("w", 4, "WorkStarted"), fact("w", 5, "WorkCompleted")]
    assert names(bundles(messages)) == [["WorkFailed"], ["WorkStarted", "WorkCompleted"]]


def test_a_newer_state_is_not_included_in_an_older_one() -> None:
    messages = [fact("w", 2, "WorkStarted"), fact("w", 1, "WorkRequested")]
    assert names(bundles(messages)) == [["WorkStarted"], ["WorkRequested"]]


def test_what_was_released_comes_one_by_one() -> None:
    messages = [
        fact("w", 1, "WorkRequested", redriven=True),
        fact("w", 2, "WorkStarted"),
        fact("w", 3, "WorkCompleted", redriven=True),
    ]
    assert names(bundles(messages)) == [["WorkRequested"], ["WorkStarted"], ["WorkCompleted"]]


def test_beginnings_wait_for_their_time_and_nothing_else_does() -> None:
    waiting = Waiting(2.0)
    first, second = fact("w", 1, "WorkRequested"), fact("w", 2, "WorkStarted")
    waiting.look([first], 10.0)
    assert waiting.may_wait([first], 10.0)
    waiting.look([first, second], 11.0)
    assert waiting.may_wait([first, second], 11.0)
    assert waiting.left(11.5) == 0.5
    assert not waiting.may_wait([first, second], 12.0)
    assert waiting.may_wait([second], 12.0)
    assert not waiting.may_wait([second, fact("w", 3, "WorkCompleted")], 11.0)
    waiting.look([fact("x", 1, "WorkStarted", redriven=True)], 12.0)
    assert waiting.left(12.0) is None
