"""Every process killed in the middle of a run, at many places, and `ameide up` after each: the run is delivered."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from ameide.engine.engine import Engine
from tests.acceptance.hold import Hold, create_held_orders, hold_pushes
from tests.acceptance.installation import Installation, remove
from tests.faults.judging import Judge, check_promotions

PLACES = ("coder", "verify", "merged", "deploying")


@dataclass(frozen=True)
class Stage:
    """An installation whose runs can be held at `PLACES`, and another one beside it that nobody touches."""

    installation: Installation
    neighbour: Installation
    remotes: Path
    holds: dict[str, Hold]

    def reached(self, place: str, change: str) -> psutil.Process:
        """Wait until the run is held there."""
        return self.holds[place].reached(self.installation, change)


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Both installations up, the repository registered."""
    made, neighbour = Installation.make(AMEIDE_LEASE_SECONDS="5"), Installation.make()
    holds = {place: Hold(made.state_dir / "holds" / place) for place in PLACES}
    made.settings["AMEIDE_CODER_COMMAND"] = f"sh -c 'cat {holds['coder'].path}; date > NOTES.md'"
    try:
        neighbour.ameide("up")
        made.ameide("up")
        remotes = made.state_dir / "remotes"
        url, gitops = create_held_orders(remotes, holds["verify"])
        hold_pushes(remotes / "orders.git", "post-receive", "refs/heads/main", holds["merged"])
        hold_pushes(remotes / "orders-gitops.git", "pre-receive", "refs/heads/main", holds["deploying"])
        made.ameide("repo", "add", "orders", url, "--gitops", gitops)
        yield Stage(made, neighbour, remotes, holds)
    finally:
        for hold in holds.values():
            hold.release()
        remove(made)
        remove(neighbour)


def test_a_run_survives_the_death_of_every_process(stage: Stage) -> None:
    made = stage.installation
    beside = [psutil.Process(stage.neighbour.pid_of(name)) for name in ("control", "worker", "executor")]
    beside += [engine(stage.neighbour, name) for name in ("postgres", "temporal")]
    change = made.start_change("orders", "It is noted", "There are notes", coder="command")

    # The supervisor alone dies; its executors find out, give their work back and leave.
    stage.holds["verify"].set()
    made.decide(made.gate(change, "REQUIREMENT_STABILIZED"))
    held = stage.reached("verify", change)
    orphans = executors(made)[1:]
    kill([psutil.Process(made.pid_of("executor"))])
    wait_for_end([held, *orphans])
    made.ameide("up")
    stage.holds["coder"].set()
    stage.holds["verify"].release()

    # The Domain dies while a coder works, which goes on without it or is started again.
    stage.reached("coder", change)
    kill([psutil.Process(made.pid_of("control"))])
    made.ameide("up")
    stage.holds["verify"].set()
    stage.holds["coder"].release()

    # The worker dies while a verification runs; then all is stopped in order, and nothing of it stays.
    stage.reached("verify", change)
    kill([psutil.Process(made.pid_of("worker"))])
    made.ameide("up")
    made.ameide("down")
    assert processes_of(made) == {}
    assert all(process.is_running() for process in beside)
    stage.holds["verify"].release()
    made.ameide("up")

    # All of the executor dies after main has moved, before it has heard of that.
    stage.holds["merged"].set()
    made.decide(made.gate(change, "ACCEPTANCE"))
    stage.reached("merged", change)
    kill_executors(made)
    stage.holds["merged"].release()
    made.ameide("up")

    # The database dies while people think.
    gate = made.gate(change, "READY_TO_RELEASE")
    kill([engine(made, "postgres")])
    made.ameide("up")

    # All of the executor dies while a promotion is pushed, and so does Temporal.
    stage.holds["deploying"].set()
    made.decide(gate)
    stage.reached("deploying", change)
    kill_executors(made)
    kill([engine(made, "temporal")])
    stage.holds["deploying"].release()
    made.ameide("up")

    assert made.advance(change)["outcome"] == "delivered"
    Judge(made).check()
    check_promotions(made, change, stage.remotes / "orders-gitops.git")
    assert all(process.is_running() for process in beside)


def executors(installation: Installation) -> list[psutil.Process]:
    """The supervisor and its two executors, in this order."""
    supervisor = psutil.Process(installation.pid_of("executor"))
    children = [process for process in supervisor.children() if process.cmdline()[-1] in ("author", "verifier")]
    assert len(children) == 2
    return [supervisor, *children]


def kill_executors(installation: Installation) -> None:
    """Kill the supervisor and both executors; what they had started must end by itself."""
    whole = executors(installation)
    below = [
        process
        for executor in whole
        for process in executor.children(recursive=True)
        # What runs behind the transport belongs to the remote's machine.
        if process not in whole and not any("receive-pack" in " ".join(p.cmdline()) for p in lineage(process))
    ]
    assert below, "nothing runs"
    kill(whole)
    wait_for_end(below)


def lineage(process: psutil.Process) -> list[psutil.Process]:
    """A process and all above it."""
    return [process, *process.parents()]


def kill(processes: Sequence[psutil.Process]) -> None:
    """SIGKILL all of them at once, and return when they are gone."""
    for process in processes:
        process.send_signal(signal.SIGKILL)
    wait_for_end(processes)


def wait_for_end(processes: Sequence[psutil.Process]) -> None:
    """Wait until none of them runs."""
    _, left = psutil.wait_procs(processes, timeout=60)
    assert [process.cmdline() for process in left if process.status() != psutil.STATUS_ZOMBIE] == []


def engine(installation: Installation, name: str) -> psutil.Process:
    """The process of an embedded engine: of PostgreSQL, the postmaster."""
    status = Engine(installation.state_dir, installation.state_dir, lambda _: None).status()
    return psutil.Process(next(one.pid for one in status if one.name == name))


def processes_of(installation: Installation) -> dict[int, list[str]]:
    """Every process that has to do with the state folder, by its command line, environment or working folder."""
    folder = str(installation.state_dir)
    found: dict[int, list[str]] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            said = [*process.cmdline(), process.cwd(), *process.environ().values()]
            if process.status() != psutil.STATUS_ZOMBIE and any(folder in word for word in said):
                found[process.pid] = process.cmdline()
    return found
