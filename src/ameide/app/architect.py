"""The process of the Architect agent: its port, its threads, and the parts that it is made of.

It has no database but its own, and knows neither Temporal nor the Domain's tables. Its libraries take seconds to load,
so the port is bound first.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AsyncExitStack, aclosing
from functools import partial
from typing import TYPE_CHECKING

from ameide import config, faults, logs
from ameide.architect.server import Server
from ameide.config import Settings
from ameide.contracts.hosts import url_here
from ameide.errors import InvalidArgument, Unreachable
from ameide.infra.redaction import Redactor
from ameide.rpc.clients import ArchitectClients, Clients
from ameide.rpc.delegating import represented
from ameide.rpc.interceptors import Door
from ameide.rpc.listener import Listener
from ameide.rpc.probes import Probes
from ameide.stopping import Stop, unless
from ameide.storage import migrate as migrations
from ameide.storage.threads import Threads as Store
from ameide.telemetry import tracing
from ameide_core_proto.agent.transformation.v1.architect_service_pb import ConverseRequest, ConverseResponse

if TYPE_CHECKING:
    from ameide.architect.agent import Agent
    from ameide.architect.door import Doorkeeper
    from ameide.architect.mcp.visit import Guest

ROLE = "architect"
_TURNS = 16
_FEWEST_CHARACTERS = 1_000
_PAUSE_SECONDS = 0.5
_need = config.needed
log = logging.getLogger(__name__)


def serve(settings: Settings, on_ready: Callable[[], None]) -> None:
    """Run the agent until SIGTERM or SIGINT; `on_ready` is called once it works.

    Turns that are going on have `drain_seconds` to end; those cut off go on when they are sent again.

    Raises InvalidArgument for a missing setting, Unreachable when the database does not answer.
    """
    redact = Redactor(config.secret_values(settings)).text
    logs.configure(settings.log_level, redact)
    faults.arm(settings.crash_at)
    tracing.configure(settings.otlp_endpoint, settings.otlp_headers, "ameide-architect")
    try:
        asyncio.run(_serve(settings, redact, on_ready))
    finally:
        tracing.shutdown()


async def _serve(settings: Settings, redact: Callable[[str], str], on_ready: Callable[[], None]) -> None:
    stop, probes = Stop(), Probes()
    dsn, tokens = _need(settings, "database_url_architect"), _need(settings, "architect_token").split()
    stop.on_signals()
    server = Server(probes)
    listener = Listener(
        server, settings.listen_host, settings.architect_listen_port, setting="AMEIDE_ARCHITECT_LISTEN_PORT"
    )
    listener.bind()
    listening = asyncio.create_task(listener.run_until_closed())
    admin: asyncio.Task[None] | None = None
    if settings.admin_port:
        probing = Listener(probes, settings.listen_host, settings.admin_port, setting="AMEIDE_ADMIN_PORT")
        probing.bind()
        admin = asyncio.create_task(probing.run_until_closed())
    async with AsyncExitStack() as stack:
        opening = _open(settings, server, probes, stack, dsn, tokens, redact)
        if await unless(stop.asked, opening) is not None:
            probes.closed = ""
            log.info("ready", extra={"roles": [ROLE]})
            on_ready()
            await stop.asked.wait()
        probes.closed = "stopping"
        log.info("stopping", extra={"roles": [ROLE]})
        listener.close()
        deadline = asyncio.get_running_loop().time() + settings.drain_seconds
        if not await stop.ended([listening], deadline):
            log.warning("ending at once what has not ended", extra={"drain_seconds": settings.drain_seconds})
        ending = [task for task in (listening, admin) if task is not None]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)


async def _open(
    settings: Settings,
    server: Server,
    probes: Probes,
    stack: AsyncExitStack,
    dsn: str,
    tokens: list[str],
    redact: Callable[[str], str],
) -> bool:
    # What takes long to load is loaded while the port answers already.
    await asyncio.to_thread(_load)
    from ameide.architect.door import Doorkeeper
    from ameide.architect.mcp.door import PATH, McpDoor
    from ameide.architect.mcp.guests import Guests
    from ameide.architect.mcp.visit import Surroundings
    from ameide.architect.service import Architect
    from ameide.architect.threads import Threads, sweeping
    from ameide_core_proto.agent.transformation.v1.architect_service_connect import ArchitectServiceASGIApplication

    await migrations.check_schema(dsn)
    address = _need(settings, "address")
    domain = await stack.enter_async_context(Clients(address, tokens[0]))
    probes.need("the Domain", domain.check)
    doorkeeper = Doorkeeper(address, tokens)
    threads: dict[str, Threads] = {}
    for tenant in await _tenants(doorkeeper):
        store = Store(dsn, tenant, turns=_TURNS)
        await store.open()
        stack.push_async_callback(store.close)
        probes.need("PostgreSQL as ameide_architect", store.check)
        threads[tenant] = Threads(store)
        if settings.architect_retention_days:
            sweep = asyncio.create_task(sweeping(threads[tenant], settings.architect_retention_days))
            stack.callback(sweep.cancel)
    agent = agent_of(settings, redact, apart=len(threads) > 1)
    if agent.model is not None:
        # A provider that is not installed is told now, and nobody's first question waits for its client.
        await agent.model.load()
    service = Architect(agent, doorkeeper, threads)
    own_address = url_here(settings.listen_host, settings.architect_listen_port)
    converse = partial(_converse, own_address, address)
    around = Surroundings(address, agent.repositories, agent.evidence, converse, redact)
    mcp = await stack.enter_async_context(
        McpDoor.opened(around, Guests(address, threads).authenticate, settings.architect_origins)
    )
    door = (Door(doorkeeper.authenticate),)
    server.open(ArchitectServiceASGIApplication(service, interceptors=door), {PATH: mcp})
    return True


async def _tenants(doorkeeper: Doorkeeper) -> Iterable[str]:
    """Those of its tokens, however long the Domain takes to answer. Raises Unauthenticated for a token that is none."""
    while True:
        try:
            return await doorkeeper.tenants()
        except Unreachable as error:
            log.warning("waiting for the Domain: %s", error)
        await asyncio.sleep(_PAUSE_SECONDS)


async def _converse(
    address: str, domain: str, guest: Guest, request: ConverseRequest
) -> AsyncGenerator[ConverseResponse]:
    """A turn as anybody has it, by this process' own port: its checks and limits are the same for all."""
    token = guest.token
    # One with scopes is taken there as it is, and may be one of which no other can be made.
    reached = ArchitectClients(address, token) if guest.caller.scopes else represented(address, domain, token)
    async with reached as clients, aclosing(clients.converse(request)) as events:
        async for event in events:
            yield event


def agent_of(settings: Settings, redact: Callable[[str], str], *, apart: bool) -> Agent:
    """The agent as the settings describe it; `apart` when it serves several tenants.

    Raises InvalidArgument for a limit or a model that is none.
    """
    from ameide.app.reading import evidence_reader, repository_reader
    from ameide.architect import speech
    from ameide.architect.agent import Agent, Limits
    from ameide.architect.models import model_of
    from ameide.architect.prompting import Prompts

    if settings.architect_turn_seconds < 1 or settings.architect_turn_calls < 1:
        raise InvalidArgument(
            "a turn needs time and a call of the model",
            field="AMEIDE_ARCHITECT_TURN_SECONDS, AMEIDE_ARCHITECT_TURN_CALLS",
            remedy="Set both to 1 or more",
        )
    if settings.architect_characters < _FEWEST_CHARACTERS:
        raise InvalidArgument(
            "that is no room for a conversation",
            field="AMEIDE_ARCHITECT_CHARACTERS",
            remedy=f"Set it to {_FEWEST_CHARACTERS} or more, or leave it out",
        )
    model = model_of(settings, redact)
    return Agent(
        repositories=repository_reader(settings, apart=apart),
        evidence=evidence_reader(settings),
        speaking=partial(speech.begin, redact=redact),
        model=model,
        fallbacks=model.fallbacks if model else (),
        prompting=Prompts() if model else None,
        limits=Limits(
            float(settings.architect_turn_seconds),
            settings.architect_turn_calls,
            _TURNS,
            settings.architect_characters,
        ),
        redact=redact,
    )


def _load() -> None:
    importlib.import_module("ameide.architect.service")
