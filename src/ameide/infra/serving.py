"""One executor in this process: what it needs from its settings to its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TypeVar

from ameide import config, faults, logs
from ameide.config import Settings
from ameide.contracts.runners import one_shot
from ameide.infra.analyzing import analyzing
from ameide.infra.attempt import Steps
from ameide.infra.claiming import Source
from ameide.infra.coding import coding
from ameide.infra.executor import Executor
from ameide.infra.object_store import ObjectStore
from ameide.infra.pausing import Pauses
from ameide.infra.redaction import Redactor
from ameide.infra.roles import Role, codex_variables, executor_settings
from ameide.infra.settings import GATEWAY, OPERATOR_VARIABLES, STORE_VARIABLES, UnprivilegedUser, tokens_of
from ameide.infra.tools import STEPS, regenerate_if_needed
from ameide.infra.work_root import occupy, reachable
from ameide.rpc.clients import Clients
from ameide.stopping import Stop
from ameide.telemetry import tracing
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind

T = TypeVar("T")
Sources = Callable[[Mapping[str, Clients]], Mapping[str, Callable[[], Source]]]
"""Makes the sources of the queues that a broker carries, with the clients of each tenant that there is a token for."""
logger = logging.getLogger(__name__)

# More than slots of one executor, so that executors on one machine share no user.
_USERS_APART = 64


def none_invited(_clients: Mapping[str, Clients]) -> Mapping[str, Callable[[], Source]]:
    """All queues are the gateway's."""
    return {}


@asynccontextmanager
async def executing(
    settings: Settings,
    role: Role,
    operator: Mapping[str, str],
    *,
    queues: Sequence[str] = (),
    once: bool = False,
    invited: Sources = none_invited,
    pauses: Pauses | None = None,
) -> AsyncGenerator[Executor]:
    """An executor of a role, with the tokens in `settings.token`, one a tenant, for `queues` or all that the role has.

    With `once` its name says that it takes one work. `operator` holds the operator's variables that the settings name.
    Raises `ToolchainUnavailable` when its children could execute no Python.
    """
    faults.arm(settings.crash_at)
    tracing.configure(settings.otlp_endpoint, settings.otlp_headers, "ameide-executor")
    root = occupy(reachable(settings.work_dir, role.user(settings)), role.value)
    try:
        own = await asyncio.to_thread(
            lambda: executor_settings(
                settings,
                role,
                token=settings.token,
                work_root=root.folder,
                operator={name: operator[name] for name in OPERATOR_VARIABLES if name in operator},
                store={name: operator[name] for name in STORE_VARIABLES if name in operator},
                variables={name: operator[name] for name in settings.credential_variables if name in operator},
                codex={name: operator[name] for name in codex_variables(settings) if name in operator},
                say=logger.info,
            )
        )
        if own.user is not None:
            apart = _USERS_APART * (root.number - 1)
            own = replace(own, user=UnprivilegedUser(own.user.uid + apart, own.user.gid + apart))
        if queues:
            own = replace(own, queues=tuple(queues))
        if once:
            own = replace(own, name=one_shot(own.name), slots=1, queue_slots={})
        hidden = (*own.secrets(), *config.secret_values(settings))
        logs.configure(settings.log_level, Redactor(hidden).text)
        steps = Steps(STEPS, {ActionKind.PUBLISH: coding(regenerate_if_needed), ActionKind.ANALYZE: analyzing()})
        store = None if own.object_store == GATEWAY else ObjectStore(own.object_store, own.store_options)
        async with AsyncExitStack() as stack:
            clients = {
                tenant: await stack.enter_async_context(Clients(own.address, token))
                for tenant, token in tokens_of(own.token).items()
            }
            first, *others = clients.values()
            yield Executor(own, steps, first, store, others=others, invited=invited(clients), pauses=pauses)
    finally:
        root.close()
        await asyncio.to_thread(tracing.shutdown)


async def until_stopped(
    executor: Executor, doing: Coroutine[object, object, T], stop: Stop, drain_seconds: float
) -> T | None:
    """What the executor's doing comes to; None when it had to be ended, since it took longer than that after a stop."""
    working = asyncio.create_task(doing)
    asked = asyncio.create_task(stop.asked.wait())
    await asyncio.wait([working, asked], return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    executor.stop()
    if not await stop.ended([working], asyncio.get_running_loop().time() + drain_seconds):
        logger.warning("ending at once what has not ended")
        working.cancel()
    await asyncio.wait([working])
    return None if working.cancelled() else working.result()
