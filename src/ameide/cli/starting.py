"""What `ameide up` prepares before the first process runs: engines, roles, schema, principals, ports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from ameide import schema
from ameide.cli.engines import Say, database_urls, engine_of
from ameide.cli.forking import Nursery
from ameide.cli.principals import EXECUTORS, PRINCIPALS, admissions
from ameide.cli.state import StateFolder
from ameide.config import Settings
from ameide.contracts.hosts import url_here
from ameide.engine.namespace import NAMESPACE
from ameide.engine.ports import is_free

_PORTS_TRIED = 200


def with_engines(
    settings: Settings, nursery: Nursery, say: Say, on_database: Callable[[Settings], None]
) -> tuple[Settings, Callable[[], None]]:
    """The settings, with the embedded engines started for whatever they leave open.

    `on_database` is called beside the start of Temporal, with settings that know the database. What is returned as well
    registers at Temporal what a worker needs there, and may be called while other things start.
    """
    if settings.database_url_app and settings.temporal_address:
        say("Using the PostgreSQL and the Temporal server that the settings name.")
        on_database(settings)
        return settings, lambda: None
    engine = engine_of(settings, say)
    engine.ensure_installed()
    postgres, state = engine.start_postgres(), StateFolder(settings.state_dir)
    if not settings.database_url_app:
        settings = replace(settings, **database_urls(state, postgres))
    with ThreadPoolExecutor(1) as beside:
        prepared = beside.submit(on_database, settings)
        temporal = engine.start_temporal()
        prepared.result()

    def register() -> None:
        engine.register(run=lambda argv: nursery.run(argv, state.logs / "registering.log"))

    return replace(settings, temporal_address=temporal, temporal_namespace=NAMESPACE), register


def with_schema_and_principals(settings: Settings, say: Say) -> None:
    """Migrate, and admit the principals whose token isn't in the state folder yet, or serves too few queues."""
    state = StateFolder(settings.state_dir)

    async def prepare() -> None:
        if settings.database_url_admin:
            for name in await schema.migrate(settings):
                say(f"Schema: applied {name}.")
        missing = [name for name in PRINCIPALS if state.token(name) is None]
        # An earlier version knew fewer queues; only then is the database asked which ones a token serves.
        unsure = [name for name in EXECUTORS if name not in missing and state.queues(name) != EXECUTORS[name]]
        if not missing and not unsure:
            return
        # Imported here: it loads every part of the program, which only the first start has to wait for.
        from ameide.app import upkeep

        served = await upkeep.queues_of(settings, {name: state.token(name) or "" for name in unsure})
        narrow = [name for name, queues in served.items() if not queues >= set(EXECUTORS[name])]
        for name, token in (await upkeep.bootstrap(settings, admissions([*missing, *narrow]))).items():
            state.keep_token(name, token)
        for name in (*missing, *served):
            if name in EXECUTORS:
                state.keep_queues(name, EXECUTORS[name])
        if missing:
            say(f"Admitted {', '.join(missing)}; their tokens are in {state.tokens}.")
        if narrow:
            say(f"Gave {', '.join(narrow)} a new token, which serves the queues that are new.")

    asyncio.run(prepare())


def with_port(settings: Settings, former: int | None, running: bool, say: Say) -> Settings:
    """The settings with the port of the control process: the former one if it can have that again, else a free one."""
    port = _port(settings.listen_port, ports_for(settings), former, running, say)
    return replace(settings, listen_port=port, address=url_here(settings.listen_host, port))


def with_architect_port(settings: Settings, former: int | None, running: bool, say: Say) -> Settings:
    """The settings, which have the control process's port, with that of the Architect agent, chosen in the same way."""
    allowed = [port for port in _ports_from(settings.architect_listen_port) if port != settings.listen_port]
    port = _port(settings.architect_listen_port, allowed, former, running, say)
    return replace(settings, architect_listen_port=port, architect_address=url_here(settings.listen_host, port))


def ports_for(settings: Settings) -> range:
    """The ports that the control process may get."""
    return _ports_from(settings.listen_port)


def _ports_from(first: int) -> range:
    return range(first, min(first + _PORTS_TRIED, 65_536))


def _port(usual: int, allowed: Sequence[int], former: int | None, running: bool, say: Say) -> int:
    wanted = former if former is not None and former in allowed else usual
    port = wanted if running else next((p for p in (wanted, *allowed) if p in allowed and is_free(p)), wanted)
    if port != wanted:
        say(f"Port {wanted} is taken by another program; using {port}.")
    return port
