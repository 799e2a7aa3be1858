"""The course of `ameide up`: engines, then control, worker, executor, architect, each once what it needs is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ameide.cli.forking import Nursery
from ameide.cli.output import say
from ameide.cli.principals import PRINCIPALS
from ameide.cli.process_settings import settings_files, write_settings
from ameide.cli.processes import ARCHITECT, Managed, wait_for
from ameide.cli.starting import with_architect_port, with_engines, with_port, with_schema_and_principals
from ameide.cli.state import StateFolder
from ameide.config import Settings
from ameide.engine.ports import is_free
from ameide.errors import Unreachable


def bring_up(settings: Settings, managed: Mapping[str, Managed], nursery: Nursery) -> tuple[str, list[str]]:
    """Start what does not run, or runs with other settings; gives the address and the names of what was started."""
    for one in managed.values():
        if one.left_behind():
            say(f"The {one.name} process ended without `ameide down`; its pid file is stale. Starting it anew.")
    control, architect = managed["control"], managed.get(ARCHITECT)
    _end_those_of_before(settings, managed)
    control_ran = control.process() is not None
    settings, register = with_engines(settings, nursery, say, (lambda _: None) if control_ran else _prepare)
    for last in (False, False, True):
        state = StateFolder(settings.state_dir)
        placed = with_port(settings, _port_of(state.address()), control.process() is not None, say)
        if architect is not None:
            former = _port_of(state.architect_address())
            placed = with_architect_port(placed, former, architect.process() is not None, say)
        try:
            return _start_what_does_not_run(placed, managed, nursery, register, prepared=not control_ran)
        except Unreachable:
            # Another program can be quicker between the choice of a port and its use.
            ports = ((control, placed.listen_port), (architect, placed.architect_listen_port))
            lost = [port for one, port in ports if one and one.process() is None and not is_free(port)]
            if last or not lost:
                raise
            say(f"Another program took port {lost[0]} meanwhile.")
    raise AssertionError("unreachable: the last try returns or raises")


def _end_those_of_before(settings: Settings, managed: Mapping[str, Managed]) -> None:
    """End what an earlier ameide started here, which knows fewer principals than this one."""
    state = StateFolder(settings.state_dir)
    running = [one for one in managed.values() if one.process() is not None]
    if not running or all(state.token(name) is not None for name in PRINCIPALS):
        return
    say("What runs here is of an earlier ameide; restarting it.")
    for one in reversed(running):
        one.stop(settings.drain_seconds)


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
    # The others send their tokens to the address of the control process, so that must have the port by then.
    if "control" in wanting:
        wait_for([managed["control"]], lambda control: control.listens(settings.listen_port), say)
    # At once: another try, for want of another port, must not move it.
    state.remember_address(settings.address)
    waited_for = [name for name in wanting if name != ARCHITECT]
    start([name for name in waited_for if name != "control"])
    wait_for([managed[name] for name in waited_for], Managed.ready, say)
    if ARCHITECT in wanting:
        # It has its port at once, and loads for seconds what nobody needs before the first `ameide chat`.
        start([ARCHITECT])
        wait_for([managed[ARCHITECT]], lambda one: one.listens(settings.architect_listen_port), say)
    if ARCHITECT in managed:
        state.remember_architect(settings.architect_address)
    return settings.address, wanting


def _port_of(address: str) -> int | None:
    port = address.rpartition(":")[2]
    return int(port) if port.isdecimal() else None
