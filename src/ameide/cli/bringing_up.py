"""The course of `ameide up`: engines, then control, worker and executor, each once what it needs is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ameide.cli.forking import Nursery
from ameide.cli.output import say
from ameide.cli.processes import Managed, wait_for
from ameide.cli.starting import (
    settings_files,
    with_engines,
    with_port,
    with_schema_and_principals,
    write_settings,
)
from ameide.cli.state import StateFolder
from ameide.config import Settings
from ameide.engine.ports import is_free
from ameide.errors import Unreachable


def bring_up(settings: Settings, managed: Mapping[str, Managed], nursery: Nursery) -> tuple[str, list[str]]:
    """Start what does not run, or runs with other settings; gives the address and the names of what was started."""
    for one in managed.values():
        if one.left_behind():
            say(f"The {one.name} process ended without `ameide down`; its pid file is stale. Starting it anew.")
    control = managed["control"]
    control_ran = control.process() is not None
    settings, register = with_engines(settings, nursery, say, (lambda _: None) if control_ran else _prepare)
    for last in (False, False, True):
        former = _former_port(StateFolder(settings.state_dir))
        placed = with_port(settings, former, control.process() is not None, say)
        try:
            return _start_what_does_not_run(placed, managed, nursery, register, prepared=not control_ran)
        except Unreachable:
            # Another program can be quicker between the choice of a port and its use.
            if last or control.process() is not None or is_free(placed.listen_port):
                raise
            say(f"Another program took port {placed.listen_port} meanwhile.")
    raise AssertionError("unreachable: the last try returns or raises")


def _prepare(settings: Settings) -> None:
    with_schema_and_principals(settings, say)


def _start_what_does_not_run(
    settings: Settings,
    managed: Mapping[str, Managed],
    nursery: Nursery,
    register: Callable[[], None],
    *,
    prepared: bool,
) -> tuple[str, list[str]]:
    state, files = StateFolder(settings.state_dir), settings_files(settings)
    wanting = [name for name in managed if not managed[name].runs_with(files[name])]
    if not wanting:
        return settings.address, []
    if "control" in wanting and not prepared:
        _prepare(settings)
    for name in wanting:
        if managed[name].stop(settings.drain_seconds):
            say(f"The settings of {name} changed; restarting it.")
        write_settings(state.settings_of(name), files[name])

    def start(names: Sequence[str]) -> None:
        for name in names:
            say(f"Starting {name}.")
            managed[name].start(nursery)

    if "control" in wanting:
        start(["control"])
    register()
    # Worker and executor send their tokens to the address of the control process, so that must have the port by then.
    if "control" in wanting:
        wait_for([managed["control"]], lambda control: control.listens(settings.listen_port), say)
    start([name for name in wanting if name != "control"])
    wait_for([managed[name] for name in wanting], Managed.ready, say)
    state.remember_address(settings.address)
    return settings.address, wanting


def _former_port(state: StateFolder) -> int | None:
    port = state.address().rpartition(":")[2]
    return int(port) if port.isdecimal() else None
