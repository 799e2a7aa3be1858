"""Which words of an answer are places in a repository, and whether they are there."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from threading import Event
from typing import cast

import pytest

from ameide.infra.analysis.commit_files import CommitFiles, Entry
from ameide.infra.analysis.references import MOST, Reference, checked, named_in
from ameide.infra.git import Git

PATHS = ("Makefile", "README.md", "src/orders/store.py")


class Lines:
    """Files of ten lines each; the README is no text."""

    paths: Collection[str] = PATHS

    async def lines(self, path: str) -> int | None:
        return None if path == "README.md" else 10


@pytest.mark.parametrize(
    ("said", "places"),
    [
        ("see src/orders/store.py#L3-L7.", ["src/orders/store.py#L3-L7"]),
        ("see (src/orders/store.py#L3-7), `./Makefile:4`", ["src/orders/store.py#L3-L7", "Makefile#L4"]),
        ("[store](src/orders/store.py#L3)", ["src/orders/store.py#L3"]),
        ("store.py:12-14 and `src/orders/other.py`", ["store.py#L12-L14", "src/orders/other.py"]),
        ("twice src/a.py:1 and again src/a.py#L1", ["src/a.py#L1"]),
        ("https://example.org:443/a.py:3 at 12:30 on localhost:8080, 127.0.0.1:80", []),
        ("`and/or`, `orders.get()`, v1.2:3, example.org:443", []),
        ("../../etc/passwd#L1", ["../../etc/passwd#L1"]),
    ],
)
def test_places_are_told_from_other_words(said: str, places: list[str]) -> None:
    assert [one.text for one in named_in(said, frozenset(PATHS))] == places


async def test_each_is_looked_for() -> None:
    said = "Makefile:10 Makefile:11 Makefile#L9-L3 README.md#L1 src/orders/none.py:1 src/orders/store.py#L0"
    found = {one.text: one.problem for one in await checked(said, Lines())}
    assert found == {
        "Makefile#L10": "",
        "Makefile#L11": "the file has 10 lines",
        "Makefile#L9-L3": "its lines are named backwards",
        "README.md#L1": "its lines cannot be counted: it is no text, or too large",
        "src/orders/none.py#L1": "there is no such file at this commit",
        "src/orders/store.py#L0": "lines are counted from 1",
    }


async def test_no_answer_asks_for_more_than_can_be_looked_for() -> None:
    said = " ".join(f"src/f{n}.py:1" for n in range(MOST + 5))
    assert len(await checked(said, Lines())) == MOST
    assert await checked("x" * 200_000 + "/" * 50_000, Lines()) == []
    # As long as it is, and not by its square.
    assert await checked("a+" * 500_000, Lines()) == []


def test_a_place_is_written_one_way() -> None:
    assert [Reference("a").text, Reference("a", 3, 3).text, Reference("a", 3, 4).text] == ["a", "a#L3", "a#L3-L4"]


class Scanned(Collection[str]):
    """Paths that count how often somebody goes through them, and that may hold up whoever does."""

    def __init__(self, held: Event | None = None) -> None:
        self.held, self.scans = held, 0

    def __iter__(self) -> Iterator[str]:
        self.scans += 1
        assert self.held is None or self.held.wait(10)
        return iter(PATHS)

    def __contains__(self, path: object) -> bool:
        self.scans += 1
        return path in PATHS

    def __len__(self) -> int:
        return len(PATHS)


async def test_the_paths_are_gone_through_once_however_many_places_are_named() -> None:
    files = Lines()
    files.paths = paths = Scanned()
    found = await checked(" ".join(f"Makefile:{n} src/f{n}.py:1 `src/g{n}.py`" for n in range(1, 1000)), files)
    assert (len(found), paths.scans) == (MOST, 1)
    assert [one.problem for one in found[:3]] == ["", *["there is no such file at this commit"] * 2]


async def test_the_loop_goes_on_while_a_large_commit_is_gone_through() -> None:
    held, files = Event(), Lines()
    files.paths = Scanned(held)
    looking = asyncio.create_task(checked("Makefile:1", files))
    # Runs after the check has begun, and only if that has left the loop to others.
    asyncio.get_running_loop().call_soon(held.set)
    assert [one.problem for one in await looking] == [""]


def test_the_files_of_a_commit_are_sorted_once() -> None:
    files = CommitFiles(cast("Git", None), {path: Entry(path, "", 0) for path in reversed(PATHS)})
    assert list(files.paths) == sorted(PATHS)
    assert files.paths is files.paths
