"""What a green base fetched is lent to the works after it, which cannot change it for each other."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from ameide.infra.dependency_cache import LINKED, DependencyCache
from ameide.infra.settings import UnprivilegedUser
from ameide.infra.steps import StepFailed
from ameide.infra.tools import STEPS
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind
from tests.tools.world import Remote, World

FETCH = """\
mkdir -p "$HOME/.cache/pip" "$HOME/go/pkg/mod"
if [ -e "$HOME/.cache/pip/large" ]; then echo found what was kept; else echo fetching
head -c 50000 /dev/zero > "$HOME/.cache/pip/large"; echo small > "$HOME/.cache/pip/small"
ln -s /etc/passwd "$HOME/.cache/pip/link"; ln -s small "$HOME/.cache/pip/inner"; mkfifo "$HOME/go/pkg/mod/pipe"; fi
"""
SUITE = """\
set -e
echo '<testsuite><testcase classname="a" name="b"/></testsuite>' > report.xml
"""
FILES = {
    "ameide.yaml": "version: 1\nverify:\n  setup: [[sh, fetch.sh]]\n"
    "  suites: {default: {run: [sh, suite.sh], junit: report.xml}}\n",
    "fetch.sh": FETCH,
    "suite.sh": SUITE,
    "go.sum": "one\n",
}
POISON = """\
{ echo poison > "$HOME/.cache/pip/large"; chmod 777 "$HOME/.cache/pip/large"; } 2>/dev/null && id -u && echo POISONED
echo poison > "$HOME/.cache/pip/small"; echo more > "$HOME/.cache/pip/more"
"""


def cached(world: World, megabytes: int = 1) -> DependencyCache:
    folder, limit = world.folder / "dependencies", megabytes * 1_000_000
    world.settings = replace(world.settings, dependency_dir=folder, dependency_bytes=limit)
    return DependencyCache(folder, limit)


async def verify(world: World, remote: Remote, commit: str, base: str, action: ActionKind = ActionKind.VERIFY) -> str:
    await world.run(STEPS[action], world.work(action, remote, commit=commit, base=base))
    return world.log


async def test_only_a_green_base_fills_it_and_no_change_alters_it(world: World) -> None:
    cache = cached(world)
    remote = Remote.create(world.folder, "project", FILES)
    base = remote.head()
    assert "nothing is kept yet" in await verify(world, remote, base, base)
    assert not cache.root.exists()
    log = await verify(world, remote, base, base, ActionKind.PREFLIGHT)
    assert "fetching" in log
    assert "are kept" in log

    poisoning = remote.commit({"suite.sh": POISON + SUITE, "go.sum": "two\n"}, branch="change", onto=base)
    log = await verify(world, remote, poisoning, base)
    assert "found what was kept" in log
    if world.settings.user is not None:
        assert "POISONED" not in log
    [entry] = [path for path in cache.root.iterdir() if not path.name.startswith(".")]
    kept = entry / "files" / ".cache" / "pip"
    assert (kept / "large").read_bytes() == bytes(50000)
    assert sorted(path.name for path in kept.iterdir()) == ["inner", "large", "small"]
    assert (kept / "small").read_text() == "small\n"
    assert list((entry / "files" / "go" / "pkg" / "mod").iterdir()) == []
    assert "found what was kept" in await verify(world, remote, base, base)

    locked_otherwise = remote.commit({"go.sum": "two\n"}, onto=base)
    log = await verify(world, remote, locked_otherwise, locked_otherwise, ActionKind.PREFLIGHT)
    assert "fetching" in log
    assert len(list(cache.root.iterdir())) == 2


async def test_a_red_base_fills_nothing(world: World) -> None:
    cache = cached(world)
    remote = Remote.create(world.folder, "project", {**FILES, "suite.sh": f"{SUITE}exit 1\n"})
    with pytest.raises(StepFailed):
        await verify(world, remote, remote.head(), remote.head(), ActionKind.PREFLIGHT)
    assert not cache.root.exists()


def fill(home: Path, size: int = 1000) -> Path:
    folder = home / ".npm" / "_cacache"
    folder.mkdir(parents=True)
    (folder / "content").write_bytes(os.urandom(size))
    return home


async def test_two_that_fill_at_once_leave_one_whole_entry(tmp_path: Path) -> None:
    cache = DependencyCache(tmp_path / "cache", 1_000_000)
    homes = [fill(tmp_path / f"home{number}", LINKED) for number in range(4)]
    sizes = await asyncio.gather(*(asyncio.to_thread(cache.keep, "key", home) for home in homes))
    assert [size for size in sizes if size is not None] == [LINKED]
    assert [path.name for path in cache.root.iterdir()] == ["key"]
    borrowed = tmp_path / "borrowed"
    borrowed.mkdir()
    assert cache.lend("key", borrowed, None) == LINKED
    copy = borrowed / ".npm" / "_cacache" / "content"
    assert copy.stat().st_nlink == 1
    copy.write_bytes(b"mine")


def test_what_is_linked_belongs_to_the_executor(state_dir: Path, work_user: UnprivilegedUser | None) -> None:
    cache = DependencyCache(state_dir / "cache", 1_000_000)
    cache.keep("key", fill(state_dir / "home", LINKED))
    assert (cache.root / "key").stat().st_mode & 0o077 == 0
    borrowed = state_dir / "borrowed"
    borrowed.mkdir()
    assert cache.lend("key", borrowed, work_user) == LINKED
    found = (borrowed / ".npm" / "_cacache" / "content").stat()
    assert (found.st_uid, found.st_mode & 0o222) == (os.geteuid(), 0 if work_user else found.st_mode & 0o222)
    assert (borrowed / ".npm").stat().st_uid == (work_user.uid if work_user else os.geteuid())


def test_the_longest_unused_goes_first_and_what_is_too_large_stays_out(tmp_path: Path) -> None:
    cache = DependencyCache(tmp_path / "cache", 2500)
    for number, key in enumerate(("old", "used", "new")):
        cache.keep(key, fill(tmp_path / key))
        if key != "new":
            os.utime(cache.root / key, (number, number))
        if key == "used":
            (tmp_path / "reader").mkdir()
            assert cache.lend("old", tmp_path / "reader", None) == 1000
    assert {path.name for path in cache.root.iterdir()} == {"old", "new"}
    assert cache.keep("large", fill(tmp_path / "large", 3000)) is None
    assert {path.name for path in cache.root.iterdir()} == {"old", "new"}


def test_what_was_killed_on_its_way_in_is_never_lent_and_goes(tmp_path: Path) -> None:
    cache = DependencyCache(tmp_path / "cache", 2500)
    partial = cache.root / ".partial-1" / "files" / ".npm"
    partial.mkdir(parents=True)
    os.utime(cache.root / ".partial-1", (1, 1))
    assert cache.lend("key", tmp_path, None) is None
    cache.keep("key", fill(tmp_path / "home"))
    assert {path.name for path in cache.root.iterdir()} == {"key"}


async def test_a_python_project_is_set_up_from_what_is_kept(world: World) -> None:
    cached(world, 500)
    project = "[project]\nname = 'calc'\nversion = '1'\n[build-system]\nrequires = ['setuptools']\n"
    files = {
        "pyproject.toml": project,
        "calc.py": "X = 1\n",
        "tests/test_calc.py": "def test_x():\n    import calc\n    assert calc.X\n",
    }
    remote = Remote.create(world.folder, "python", files)
    base = remote.head()
    assert "are kept" in await verify(world, remote, base, base, ActionKind.PREFLIGHT)
    change = remote.commit({"calc.py": "X = 2\n"}, branch="change", onto=base)
    assert "a copy of" in await verify(world, remote, change, base)
    assert world.checks() == {"tests/test_calc.py::test_x": "PASSED"}
