"""What `ameide up` prepares before the first process runs: engines, roles, schema, principals, settings files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path

from ameide import config, schema
from ameide.cli.engines import Say, database_urls, engine_of
from ameide.cli.forking import Nursery
from ameide.cli.principals import PRINCIPALS, admissions
from ameide.cli.state import StateFolder
from ameide.config import Settings, to_toml
from ameide.contracts.transports import Transports
from ameide.engine.files import write_whole
from ameide.engine.namespace import NAMESPACE
from ameide.engine.ports import is_free

Written = dict[str, Path | str | int | tuple[str, ...]]
_PORTS_TRIED = 200
_OF_EACH = ("listen_host", "drain_seconds", "otlp_endpoint", "otlp_headers", "log_level")
_OF_KAFKA = (
    "facts_transport",
    "queue_transport",
    *(name for name in (row.name for row in config.TABLE) if name.startswith("kafka_")),
)
_OF_CONTROL = (
    "state_dir",
    "tenant",
    "address",
    "listen_port",
    *(f"database_url_{role.removeprefix('ameide_')}" for role in config.DATABASE_ROLES),
    "temporal_address",
    "temporal_namespace",
    "object_store",
    "notify_command",
    "notify_webhook_url",
    "notify_webhook_secret",
    "lease_seconds",
    "log_partition_messages",
    *_OF_KAFKA,
    *_OF_EACH,
)
_OF_WORKER = ("state_dir", "tenant", "address", "temporal_address", "temporal_namespace", *_OF_EACH)
# Neither a database nor Temporal: an executor knows the Domain, the object store, the registry and the forge.
_OF_EXECUTOR = (
    "state_dir",
    "tenant",
    "address",
    "object_store",
    "registry_root",
    "forge_root",
    "work_dir",
    "credentials_dir",
    "credential_variables",
    "git_lfs",
    "patches_dir",
    "coder_command",
    "child_path",
    "child_readable",
    "sandbox",
    "coder_hosts",
    "verify_hosts",
    "child_processes",
    "child_output_mb",
    "child_memory_mb",
    "work_disk_mb",
    "codex",
    "codex_home",
    "codex_write_back",
    "codex_wait_seconds",
    "repeats",
    "prices",
    "author_uid",
    "verifier_uid",
    "author_slots",
    "verifier_slots",
    "queue_slots",
    "child_python",
    *_OF_EACH,
)


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
    """Migrate, and admit the principals whose token isn't in the state folder yet."""
    state = StateFolder(settings.state_dir)

    async def prepare() -> None:
        if settings.database_url_admin:
            for name in await schema.migrate(settings):
                say(f"Schema: applied {name}.")
        missing = [name for name in PRINCIPALS if state.token(name) is None]
        if missing:
            # Imported here: it loads every part of the program, which only the first start has to wait for.
            from ameide.app import upkeep

            for name, token in (await upkeep.bootstrap(settings, admissions(missing))).items():
                state.keep_token(name, token)
            say(f"Admitted {', '.join(missing)}; their tokens are in {state.tokens}.")

    asyncio.run(prepare())


def with_port(settings: Settings, former: int | None, running: bool, say: Say) -> Settings:
    """The settings with the port of the control process: the former one if it can have that again, else a free one."""
    allowed = ports_for(settings)
    wanted = former if former is not None and former in allowed else settings.listen_port
    port = wanted if running else next((p for p in (wanted, *allowed) if is_free(p)), wanted)
    if port != wanted:
        say(f"Port {wanted} is taken by another program; using {port}.")
    host = settings.listen_host if settings.listen_host not in ("0.0.0.0", "::") else "127.0.0.1"  # noqa: S104 -- a comparison
    return replace(settings, listen_port=port, address=f"http://{host}:{port}")


def ports_for(settings: Settings) -> range:
    """The ports that the control process may get."""
    return range(settings.listen_port, min(settings.listen_port + _PORTS_TRIED, 65_536))


def settings_files(settings: Settings) -> dict[str, str]:
    """The text of each process's settings file: it names what the process needs, and nothing else."""
    tokens = StateFolder(settings.state_dir).tokens
    process: Written = {"process_token_file": tokens / "process"}
    executors: Written = {"author_token_file": tokens / "author", "verifier_token_file": tokens / "verifier"}
    return {
        "control": to_toml(_pick(settings, _OF_CONTROL) | process),
        "worker": to_toml(_pick(settings, _OF_WORKER) | process | _admin(settings, 0)),
        "executor": to_toml(_pick(settings, _OF_EXECUTOR) | _brokers(settings) | executors | _admin(settings, 1)),
    }


def _brokers(settings: Settings) -> Written:
    """What an executor needs when a queue goes by Kafka; nothing of a broker is for one whose queues do not."""
    carried = Transports.of(settings.facts_transport, settings.queue_transport)
    return _pick(settings, _OF_KAFKA) if carried.kafka_queues else {}


def _admin(settings: Settings, place: int) -> Written:
    """The admin port of a process that has no door; `place` counts those processes from 0."""
    return {"admin_port": settings.admin_port + place} if settings.admin_port else {}


def write_settings(path: Path, text: str) -> None:
    """Store a settings file, unless it says so already; it may hold passwords."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_whole(path, text, mode=0o600)


def _pick(settings: Settings, names: tuple[str, ...]) -> Written:
    known: Written = {row.name: getattr(settings, row.name) for row in fields(settings)}
    return {name: known[name] for name in names if known[name] not in ("", (), Path())}
