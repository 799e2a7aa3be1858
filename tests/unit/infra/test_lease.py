"""A lease counts from when the call was sent, on the holder's own clock."""

import pytest

from ameide.errors import Fenced
from ameide.infra.lease import Lease


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_it_ends_by_itself() -> None:
    clock = Clock()
    lease = Lease(90.0, 30, clock)
    assert lease.remaining == 20
    lease.check()
    clock.seconds = 120.0
    with pytest.raises(Fenced):
        lease.check()


def test_an_extension_counts_from_its_call_and_never_shortens() -> None:
    clock = Clock()
    lease = Lease(100.0, 30, clock)
    clock.seconds = 110.0
    lease.extend(109.0, 30)
    assert lease.remaining == 29
    lease.extend(101.0, 30)
    assert lease.remaining == 29


def test_an_extension_that_comes_too_late_does_not_revive_it() -> None:
    clock = Clock()
    lease = Lease(100.0, 30, clock)
    clock.seconds = 131.0
    with pytest.raises(Fenced):
        lease.extend(129.0, 30)
    clock.seconds = 120.0
    with pytest.raises(Fenced):
        lease.check()


async def test_losing_it_wakes_who_waits() -> None:
    lease = Lease(100.0, 3000, Clock())
    lease.lose("the Domain said so")
    await lease.ended()
    with pytest.raises(Fenced, match="the Domain said so"):
        lease.check()
