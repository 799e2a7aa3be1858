"""Runs that are under way, and databases that are in use, were made by what is frozen here."""

import pytest

from tests.upgrades.freeze import ROOT, frozen, sha256


@pytest.mark.parametrize("name", sorted(frozen()))
def test_what_was_released_is_as_it_was(name: str) -> None:
    path = ROOT / name
    assert path.exists(), "Take its line out of frozen.sha256 only when no run and no database needs it any more."
    assert sha256(path) == frozen()[name], "Put it back as it was, and add a new file beside it."
