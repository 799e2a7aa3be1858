"""The worker pool: a supervisor of two executor processes, author and verifier, each with an environment of its own.

A child is told its settings by `AMEIDE_*` variables that are listed here one by one, so that nothing else of the
pool's environment reaches it: no database or Temporal credential, a broker's only for queues of its own, and not the
other child's token. The operator's proxy, CA and package-index variables come as the first line of its standard input
instead, since they are for git and verify alone.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shlex
import signal
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from ameide.config import Settings
from ameide.contracts.transports import queues_by_kafka
from ameide.errors import InvalidArgument
from ameide.infra.roles import Role, queue_slots
from ameide.infra.settings import OPERATOR_VARIABLES, STORE_VARIABLES
from ameide.infra.supervisor import ChildProcess, Supervisor
from ameide.infra.toolchain import prepare
from ameide.rpc.clients import Clients
from ameide.rpc.listener import Listener
from ameide.rpc.probes import Probes

logger = logging.getLogger(__name__)

_AT_ONCE_SECONDS = 5
_LANGUAGE = {"LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}


def child_environment(settings: Settings, role: Role) -> dict[str, str]:
    """The whole environment of one executor process."""
    said = {
        "AMEIDE_STATE_DIR": str(settings.state_dir),
        "AMEIDE_CACHE_DIR": str(settings.cache_dir),
        "AMEIDE_ADDRESS": settings.address,
        "AMEIDE_TOKEN": role.token(settings),
        "AMEIDE_OBJECT_STORE": settings.object_store,
        "AMEIDE_REGISTRY_ROOT": str(settings.registry_root),
        "AMEIDE_FORGE_ROOT": str(settings.forge_root),
        "AMEIDE_WORK_DIR": str(settings.work_dir),
        "AMEIDE_CREDENTIALS_DIR": str(settings.credentials_dir),
        "AMEIDE_CREDENTIAL_VARIABLES": shlex.join(settings.credential_variables),
        "AMEIDE_GIT_LFS": str(settings.git_lfs) if settings.git_lfs != Path() else "",
        "AMEIDE_CHILD_PYTHON": settings.child_python,
        "AMEIDE_CHILD_PATH": settings.child_path,
        "AMEIDE_CHILD_READABLE": shlex.join(settings.child_readable),
        "AMEIDE_CHILD_PROCESSES": str(settings.child_processes),
        "AMEIDE_CHILD_OUTPUT_MB": str(settings.child_output_mb),
        "AMEIDE_CHILD_MEMORY_MB": str(settings.child_memory_mb),
        "AMEIDE_WORK_DISK_MB": str(settings.work_disk_mb),
        "AMEIDE_SANDBOX": settings.sandbox,
        "AMEIDE_LOG_LEVEL": settings.log_level,
        "AMEIDE_DRAIN_SECONDS": str(settings.drain_seconds),
        "AMEIDE_QUEUE_SLOTS": shlex.join(settings.queue_slots),
        "OTEL_EXPORTER_OTLP_ENDPOINT": settings.otlp_endpoint,
        "OTEL_EXPORTER_OTLP_HEADERS": settings.otlp_headers,
    }
    match role:
        case Role.AUTHOR:
            said["AMEIDE_AUTHOR_UID"] = str(settings.author_uid)
            said["AMEIDE_AUTHOR_SLOTS"] = str(settings.author_slots)
            said["AMEIDE_PATCHES_DIR"] = str(settings.patches_dir)
            said["AMEIDE_CODER_HOSTS"] = shlex.join(settings.coder_hosts)
            said["AMEIDE_CODER_COMMAND"] = shlex.join(settings.coder_command)
            said["AMEIDE_CODEX"] = settings.codex
            said["CODEX_HOME"] = str(settings.codex_home) if settings.codex_home != Path() else ""
            said["AMEIDE_CODEX_WRITE_BACK"] = str(settings.codex_write_back)
            said["AMEIDE_CODEX_WAIT_SECONDS"] = str(settings.codex_wait_seconds)
            said["AMEIDE_REPEATS"] = str(settings.repeats)
            said["AMEIDE_PRICES"] = str(settings.prices) if settings.prices != Path() else ""
        case Role.VERIFIER:
            said["AMEIDE_VERIFIER_UID"] = str(settings.verifier_uid)
            said["AMEIDE_VERIFIER_SLOTS"] = str(settings.verifier_slots)
            said["AMEIDE_VERIFY_HOSTS"] = shlex.join(settings.verify_hosts)
    return {**_LANGUAGE, **{name: value for name, value in (said | _brokers(settings, role)).items() if value}}


def _brokers(settings: Settings, role: Role) -> dict[str, str]:
    """How a role reaches the brokers that carry a queue of it."""
    if queues_by_kafka(settings.queue_transport).isdisjoint(role.queues):
        return {}
    files = {
        "CA_FILE": settings.kafka_ca_file,
        "CERTIFICATE_FILE": settings.kafka_certificate_file,
        "KEY_FILE": settings.kafka_key_file,
    }
    return {
        "AMEIDE_QUEUE_TRANSPORT": shlex.join(settings.queue_transport),
        "KAFKA_BROKERS": settings.kafka_brokers,
        "AMEIDE_KAFKA_SECURITY_PROTOCOL": settings.kafka_security_protocol,
        "AMEIDE_KAFKA_SASL_MECHANISM": settings.kafka_sasl_mechanism,
        "AMEIDE_KAFKA_SASL_USERNAME": settings.kafka_sasl_username,
        "AMEIDE_KAFKA_SASL_PASSWORD": settings.kafka_sasl_password,
        **{f"AMEIDE_KAFKA_{name}": str(path) for name, path in files.items() if path != Path()},
        "AMEIDE_KAFKA_KEY_PASSWORD": settings.kafka_key_password,
        "AMEIDE_KAFKA_SESSION_SECONDS": str(settings.kafka_session_seconds),
    }


async def run_pool(
    settings: Settings,
    operator: Mapping[str, str],
    child: Sequence[str],
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Run both executors until SIGTERM or SIGINT, each as the program `child` with the name of its role.

    `operator` holds the variables of `OPERATOR_VARIABLES` and `STORE_VARIABLES`, and those that the setting
    `credential_variables` and `codex_variables` name. Raises `InvalidArgument` for a missing token or a wrong setting,
    `ToolchainUnavailable` when children could execute no Python.
    """
    queue_slots(settings)
    for role in Role:
        if not role.token(settings):
            name = f"AMEIDE_{role.name}_TOKEN"
            raise InvalidArgument(
                f"the {role.value} executor has no token",
                field=name,
                remedy=f"Set {name} or {name}_FILE (`ameide token create`)",
            )
        await asyncio.to_thread(prepare, role.user(settings), logger.info, python=settings.child_python)
    # Codex's keys are the author's alone.
    known = (*OPERATOR_VARIABLES, *STORE_VARIABLES, *settings.credential_variables)
    shared = {name: value for name, value in operator.items() if name in known}
    greetings = {Role.AUTHOR: dict(operator), Role.VERIFIER: shared}
    supervisor = Supervisor(
        [
            ChildProcess(
                role.value,
                [*child, role.value],
                child_environment(settings, role),
                json.dumps(greetings[role]).encode(),
            )
            for role in Role
        ],
        # A child that has to end at once after its own drain needs a moment for it.
        drain=settings.drain_seconds + _AT_ONCE_SECONDS,
    )
    _on_signals(supervisor.stop)
    async with AsyncExitStack() as stack:
        if settings.admin_port:
            await stack.enter_async_context(_probed(supervisor, settings))
        on_ready()
        await supervisor.run()


@asynccontextmanager
async def _probed(supervisor: Supervisor, settings: Settings) -> AsyncGenerator[None]:
    """Answers probes at the admin port meanwhile. Raises Unreachable when the port is taken."""
    async with Clients(settings.address, "") as clients:
        probes = Probes()
        probes.closed = ""
        probes.need("the executors", supervisor.check)
        probes.need("the Domain", clients.check)
        probes.gauges.add(supervisor.readings)
        listener = Listener(probes, settings.listen_host, settings.admin_port, setting="AMEIDE_ADMIN_PORT")
        listener.bind()
        listening = asyncio.create_task(listener.run_until_closed())
        try:
            yield
        finally:
            listening.cancel()


def _on_signals(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
