"""The schedule of a chaos run: the same seed goes wrong in the same way; `make chaos` plays it."""

from __future__ import annotations

from tests.faults.chaos.schedule import schedule
from tests.faults.rig.points import ROWS

POINTS = [(row.role, row.point) for row in ROWS]
HOUR = 3600.0


def test_a_seed_says_what_goes_wrong_and_when() -> None:
    assert schedule(7, HOUR, POINTS) == schedule(7, HOUR, POINTS)
    assert schedule(7, HOUR, POINTS) != schedule(8, HOUR, POINTS)


def test_a_longer_run_begins_like_a_shorter_one() -> None:
    short = schedule(7, 60, POINTS)
    assert short
    assert schedule(7, HOUR, POINTS)[: len(short)] == short


def test_an_hour_has_every_fault_in_every_role() -> None:
    faults = schedule(7, HOUR, POINTS)
    assert all(0 <= one.at < HOUR for one in faults)
    assert [one.at for one in faults] == sorted(one.at for one in faults)
    roles = {role for role, _ in POINTS}
    for kind in ("kill", "stop", "crash"):
        assert {one.role for one in faults if one.kind == kind} == roles
    assert {one.role for one in faults} - roles == {"postgres", "temporal"}
