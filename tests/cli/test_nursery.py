"""What `ameide up` starts: forked by a nursery that has the program loaded, or started directly when there is none."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ameide.cli.forking import Nursery

# Tells what it finds through a pipe, on which the test waits.
PROBE = """\
import json, os, sys
from pathlib import Path

print("it runs")
told = {
    "main": __name__,
    "argv": sys.argv[1:],
    "environment": dict(os.environ),
    "folder": os.getcwd(),
    "session": os.getsid(0),
    "pid": os.getpid(),
    "loaded": "ameide.app.control" in sys.modules,
    "open": [number for number in range(64) if os.path.exists(f"/dev/fd/{number}")],
}
if len(sys.argv) > 2:
    Path(sys.argv[1]).write_text(json.dumps(told))
    Path(sys.argv[2]).read_text()
sys.exit(7)
"""
_FORKS = sys.platform == "linux"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("nursery")
    (made / "probe.py").write_text(PROBE)
    for name in ("told", "hold"):
        os.mkfifo(made / name)
    return made


@pytest.fixture(scope="module")
def nursery(folder: Path) -> Iterator[Nursery]:
    with Nursery(folder, folder / "nursery.log", {"PATH": os.defpath}) as made:
        made.begin()
        yield made


def started(nursery: Nursery, folder: Path) -> tuple[int, dict[str, Any]]:
    """The pid of a probe that stays, and what it told."""
    pid = nursery.start(["probe", "told", "hold"], folder / "probe.log", {"PATH": os.defpath, "OWN": "mine"})
    told: dict[str, Any] = json.loads((folder / "told").read_text())
    return pid, told


def test_a_program_is_as_if_it_had_been_started_directly(nursery: Nursery, folder: Path) -> None:
    pid, forked = started(nursery, folder)
    title = psutil.Process(pid).cmdline()
    (folder / "hold").write_text("go on")
    with Nursery(folder, folder / "other.log", {}) as none:
        other, direct = started(none, folder)
        assert psutil.Process(other).cmdline() == title
    (folder / "hold").write_text("go on")
    assert (forked.pop("loaded"), direct.pop("loaded")) == (_FORKS, False)
    assert (forked.pop("pid"), direct.pop("pid")) == (pid, other)
    assert (forked.pop("session"), direct.pop("session")) == (pid, other)
    # Python adds it by itself where no language is set.
    direct["environment"].pop("LC_CTYPE", None)
    assert forked == direct


def test_the_end_of_a_program_is_told_with_what_it_said(nursery: Nursery, folder: Path) -> None:
    assert nursery.run(["probe"], folder / "ended.log") == (7, "it runs\n")


def test_an_error_is_in_the_programs_own_log(nursery: Nursery, folder: Path) -> None:
    code, said = nursery.run(["no.such.module"], folder / "wrong.log")
    assert code == 1
    assert "No module named 'no'" in said


def test_what_was_started_outlives_the_nursery_and_its_death_stops_nobody(folder: Path) -> None:
    with Nursery(folder, folder / "short.log", {"PATH": os.defpath}) as nursery:
        nursery.begin()
        pid, told = started(nursery, folder)
        assert told["loaded"] == _FORKS
        if _FORKS:
            psutil.Process(pid).parent().kill()  # pyright: ignore[reportOptionalMemberAccess] -- the nursery lives
        second, told = started(nursery, folder)
        assert not told["loaded"]
    assert [psutil.Process(one).status() != psutil.STATUS_ZOMBIE for one in (pid, second)] == [True, True]
    for one in (pid, second):
        psutil.Process(one).kill()
