"""An installation for fault tests: engines of its own, one process a role, two test-only executors.

With brokers there is a forwarder as well, and what goes by Kafka can be changed while everything runs.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import tempfile
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from ameide import config
from ameide.cli.engines import database_urls
from ameide.cli.process_settings import write_settings
from ameide.cli.starting import with_schema_and_principals
from ameide.cli.state import StateFolder
from ameide.config import Settings
from ameide.contracts.transports import KAFKA, Transports
from ameide.engine.engine import Engine
from ameide.engine.ports import is_free
from tests.engines.kafka.broker import KafkaBroker
from tests.faults.rig import executor_double
from tests.faults.rig.folder import RunFolder
from tests.faults.rig.processes import Child, Nursery, nursery

ROLES = ("domain", "relay", "sweeper", "ingress", "projector", "worker")
EXECUTORS = ("author", "verifier")
LEASE_SECONDS = 3
# Of a loaded machine; nothing waits for it when the condition holds.
PATIENCE = 90.0
_CARRIERS = (
    "facts_transport",
    "queue_transport",
    "kafka_brokers",
    "kafka_partitions",
    "kafka_session_seconds",
)
_OF_ROLE = {
    "domain": ("address", "listen_host", "listen_port", "database_url_app", "lease_seconds", *_CARRIERS),
    "relay": ("database_url_app", "database_url_relay", *_CARRIERS),
    "forwarder": ("database_url_app", "database_url_ingress", *_CARRIERS),
    "sweeper": ("database_url_app", "database_url_sweeper"),
    "ingress": (
        "database_url_app",
        "database_url_ingress",
        "address",
        "temporal_address",
        "temporal_namespace",
        *_CARRIERS,
    ),
    "projector": ("database_url_app", "database_url_projector"),
    "worker": ("address", "temporal_address", "temporal_namespace"),
    "author": ("address", "object_store", "work_dir", *_CARRIERS),
    "verifier": ("address", "object_store", "work_dir", *_CARRIERS),
}
_FOR_ALL = ("state_dir", "tenant", "log_level")
_PORTS = range(12_000, 20_000)
Say = Callable[[str], None]


@dataclass
class Rig:
    """`members` are the living processes by role; `folder` is what the oracle is given."""

    settings: Settings
    engine: Engine
    nursery: Nursery
    folder: RunFolder
    members: dict[str, Child] = field(default_factory=dict[str, Child])
    executor_pids: set[int] = field(default_factory=set[int])

    @property
    def state(self) -> StateFolder:
        """Tokens, logs and settings files."""
        return StateFolder(self.settings.state_dir)

    def token(self, principal: str) -> str:
        """A principal's token."""
        found = self.state.token(principal)
        assert found is not None
        return found

    async def start(self, role: str, *, crash_at: str = "", wait: bool = True) -> Child:
        """Start the process of a role; with `crash_at` it will kill itself there. Raises AssertionError when it ends
        before it is ready and was not told to.
        """
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        environment[config.CONFIG_VARIABLE] = str(self.state.settings_of(role))
        if crash_at:
            environment["AMEIDE_CRASH_AT"] = crash_at
        argv = ["serve", role]
        if role in EXECUTORS:
            environment["AMEIDE_TOKEN"] = self.token(role)
            argv = [executor_double.NAME, role, str(self.folder.effects)]
        child = await self.nursery.start(role, argv, environment)
        self.members[role] = child
        if role in EXECUTORS:
            self.executor_pids.add(child.pid)
        if wait:
            await child.until_ready(PATIENCE)
            assert child.alive or crash_at, f"{role} ended while it started:\n{child.tail()}"
        return child

    async def stop(self, role: str) -> None:
        """End the process of a role as `kill` does, gracefully; it must end."""
        child = self.members[role]
        child.send(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            await child.ended.wait()

    async def restart(self, role: str, *, crash_at: str = "") -> Child:
        """Kill the process of a role and start another one."""
        await self.members[role].kill()
        return await self.start(role, crash_at=crash_at)

    async def sql(self, statement: LiteralString, *parameters: object) -> list[tuple[Any, ...]]:
        """Rows, as the superuser."""
        dsn = self.settings.database_url_admin
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            cursor = await connection.execute(statement, parameters)
            return await cursor.fetchall() if cursor.description else []

    async def start_all(self) -> None:
        """Every role and both executors, the Domain first."""
        await self.start("domain")
        await asyncio.gather(*(self.start(role) for role in (*self.roles[1:], *EXECUTORS)))

    def describe(self, *, kafka_brokers: str) -> None:
        """Tell the oracle where everything is; the brokers while all facts have gone by them."""
        self.folder.describe(
            database_url_admin=self.settings.database_url_admin,
            temporal_address=self.settings.temporal_address,
            temporal_namespace=self.settings.temporal_namespace,
            address=self.settings.address,
            tenant=self.settings.tenant,
            kafka_brokers=kafka_brokers,
        )

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that are needed."""
        carriers = Transports.of(self.settings.facts_transport, self.settings.queue_transport)
        return (*ROLES, "forwarder") if carriers.any_kafka else ROLES

    async def carry(self, facts: str, queues: tuple[str, ...]) -> None:
        """Change what goes by Kafka: every process that has to know is stopped, in no order, and started again."""
        concerned = ("domain", "relay", "forwarder", "ingress", *EXECUTORS)
        self.settings = replace(self.settings, facts_transport=facts, queue_transport=queues)
        _write_settings(self.settings)
        running = [role for role in concerned if role in self.members and self.members[role].alive]
        await asyncio.gather(*(self.stop(role) for role in running))
        await self.start("domain")
        await asyncio.gather(*(self.start(role) for role in (*self.roles, *EXECUTORS) if role in concerned[1:]))


def by_kafka(broker: KafkaBroker) -> dict[str, Any]:
    """The settings of an installation in which all goes by Kafka that can."""
    return {
        "kafka_brokers": broker.brokers,
        "facts_transport": KAFKA,
        "queue_transport": (KAFKA,),
        "kafka_partitions": 3,
        "kafka_session_seconds": 3,
    }


@asynccontextmanager
async def rig(folder: Path, say: Say, **carriers: Any) -> AsyncGenerator[Rig]:
    """A running installation that notes what happens in `folder`; leaving it ends and deletes everything but that.

    `carriers` are the settings of Kafka, if any.
    """
    state_dir = _fresh(folder)
    cache = config.read().cache_dir
    engine = Engine(state_dir, cache, say)
    try:
        settings = replace(await asyncio.to_thread(_prepare, state_dir, engine, say), **carriers)
        _write_settings(settings)
        async with nursery(state_dir / "logs") as children:
            made = Rig(settings, engine, children, RunFolder(folder))
            made.describe(kafka_brokers=settings.kafka_brokers if settings.facts_transport == KAFKA else "")
            yield made
    finally:
        await asyncio.to_thread(_remove, engine, state_dir)


def _fresh(folder: Path) -> Path:
    """A new state folder that PostgreSQL's account may pass; makes the run folder as well."""
    folder.mkdir(parents=True, exist_ok=True)
    state_dir = Path(tempfile.mkdtemp(prefix="ameide-rig-"))
    state_dir.chmod(0o711)
    return state_dir


def _prepare(state_dir: Path, engine: Engine, say: Say) -> Settings:
    state = StateFolder(state_dir)
    state.prepare()
    running = engine.start()
    settings = replace(
        config.read({"AMEIDE_STATE_DIR": str(state_dir)}),
        temporal_address=running.temporal_address,
        temporal_namespace=running.namespace,
        lease_seconds=LEASE_SECONDS,
        **database_urls(state, running.postgres),
    )
    with_schema_and_principals(settings, say)
    port = next(port for port in random.sample(_PORTS, len(_PORTS)) if is_free(port))
    return replace(settings, listen_port=port, address=f"http://127.0.0.1:{port}")


def _write_settings(settings: Settings) -> None:
    state = StateFolder(settings.state_dir)
    known = {row.name: getattr(settings, row.name) for row in fields(settings)}
    for role, names in _OF_ROLE.items():
        said = {name: known[name] for name in (*_FOR_ALL, *names)}
        if role in ("ingress", "worker"):
            said["process_token_file"] = state.tokens / "process"
        write_settings(state.settings_of(role), config.to_toml(said))


def _remove(engine: Engine, state_dir: Path) -> None:
    engine.stop()
    engine.purge()
    shutil.rmtree(state_dir)
