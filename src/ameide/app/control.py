"""The control plane: its roles are loops, and a process runs some of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from connectrpc.server import ConnectASGIApplication

from ameide import config, faults, logs
from ameide.app.store import LazyObjects
from ameide.config import Settings
from ameide.contracts.transports import Transports
from ameide.delivery.notify import notifier
from ameide.delivery.notify.command import CommandSender
from ameide.delivery.notify.notice import Sender
from ameide.delivery.notify.webhook import Webhook
from ameide.domain import access
from ameide.domain.commands.conversations import ConversationCommands
from ameide.domain.commands.governance import GovernanceCommands
from ameide.domain.commands.knowledge import KnowledgeCommands
from ameide.domain.commands.process_facts import ProcessFacts
from ameide.domain.commands.uploads import Uploads
from ameide.domain.commands.work import WorkCommands
from ameide.domain.decisions.upload import Bounds
from ameide.domain.evidence_door import EvidenceDoor
from ameide.domain.server import Server
from ameide.domain.service import Service
from ameide.domain.sweeper import Sweeper
from ameide.domain.tokens import KnownTokens
from ameide.errors import AmeideError, InvalidArgument
from ameide.events import gauges
from ameide.events.archived import ArchivedLog
from ameide.events.backends.postgres import PostgresFactStream
from ameide.events.carriage import adopt, carry, topics_of
from ameide.events.consumer import Consumer
from ameide.events.log import keep_place
from ameide.events.ports import FactStream
from ameide.events.relay import Relay
from ameide.events.wakeups import Wakeups
from ameide.infra.redaction import Redactor
from ameide.process.ingress import Ingress
from ameide.process.worker import ProcessWorker
from ameide.rpc.clients import Clients
from ameide.rpc.interceptors import Door
from ameide.rpc.listener import Listener
from ameide.rpc.probes import Probes
from ameide.stopping import Stop, unless
from ameide.storage import migrate as migrations
from ameide.storage.db import IDLE_SECONDS, Database
from ameide.telemetry import tracing
from ameide.views.projector import Projector
from ameide.views.server import GovernanceQueries, WorkQueries
from ameide_core_proto.process.transformation.v1.process_fact_service_connect import ProcessFactServiceASGIApplication
from ameide_core_proto.transformation.governance.v1.access_service_connect import AccessServiceASGIApplication
from ameide_core_proto.transformation.governance.v1.command_service_connect import (
    GovernanceCommandServiceASGIApplication,
)
from ameide_core_proto.transformation.governance.v1.conversation_service_connect import (
    ConversationCommandServiceASGIApplication,
)
from ameide_core_proto.transformation.governance.v1.query_service_connect import GovernanceQueryServiceASGIApplication
from ameide_core_proto.transformation.knowledge.v1.command_service_connect import (
    KnowledgeCommandServiceASGIApplication,
)
from ameide_core_proto.transformation.work.v1.command_service_connect import WorkCommandServiceASGIApplication
from ameide_core_proto.transformation.work.v1.query_service_connect import WorkQueryServiceASGIApplication

_need = config.needed
ROLES = ("domain", "relay", "forwarder", "sweeper", "ingress", "projector", "notifier", "worker")
_TO_A_COMMAND = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "USER", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")
log = logging.getLogger(__name__)


def serve(roles: Sequence[str], settings: Settings, on_ready: Callable[[], None]) -> None:
    """Run the roles until SIGTERM or SIGINT, then end what they have begun; `on_ready` is called once all of them work.

    A second signal, or the end of `drain_seconds`, ends them at once.

    Raises InvalidArgument for an unknown role or a missing setting, Unreachable when an engine does not answer.
    """
    unknown = sorted(set(roles) - set(ROLES))
    if unknown or not roles:
        raise InvalidArgument(f"unknown role {', '.join(unknown)}", field="ROLE", remedy=f"Choose of {' '.join(ROLES)}")
    logs.configure(settings.log_level, Redactor(config.secret_values(settings)).text)
    faults.arm(settings.crash_at)
    name = roles[0] if len(set(roles)) == 1 else "control"
    tracing.configure(settings.otlp_endpoint, settings.otlp_headers, f"ameide-{name}")
    try:
        asyncio.run(_serve(frozenset(roles), settings, on_ready))
    except ExceptionGroup as group:
        # The trouble of one loop ends all of them; what a person can act on is that trouble, not the group.
        match group.exceptions:
            case (AmeideError() as trouble,):
                raise trouble from group
            case _:
                raise
    finally:
        tracing.shutdown()


async def _serve(roles: frozenset[str], settings: Settings, on_ready: Callable[[], None]) -> None:
    stop, wakeups, probes = Stop(), Wakeups(), Probes()
    transports = Transports.of(settings.facts_transport, settings.queue_transport)
    if not (transports.any_kafka or roles - {"forwarder"}):
        raise InvalidArgument(
            "nothing goes by Kafka, so nothing is forwarded",
            field="ROLE",
            remedy="Set AMEIDE_FACTS_TRANSPORT=kafka or AMEIDE_QUEUE_TRANSPORT, and KAFKA_BROKERS",
        )
    stop.on_signals()
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        # What calls the door ends before the door does; what only serves the others goes on until all have ended.
        callers: list[Ingress | ProcessWorker] = []
        loops: list[asyncio.Task[None]] = []
        background: list[asyncio.Task[None]] = []
        started: list[Coroutine[Any, Any, object]] = []
        door: Listener | None = None

        async def database(name: str, idle: float = IDLE_SECONDS) -> Database:
            opened = Database(_need(settings, f"database_url_{name}"), idle=idle)
            await opened.open()
            stack.push_async_callback(opened.close)
            await migrations.check_schema(opened.dsn)
            probes.need(f"PostgreSQL as ameide_{name}", partial(_answers, opened))
            return opened

        if settings.admin_port:
            listener = Listener(probes, settings.listen_host, settings.admin_port, setting="AMEIDE_ADMIN_PORT")
            listener.bind()
            background.append(tasks.create_task(listener.run_until_closed()))
            started.append(listener.listening())
        if "domain" in roles:
            app = await database("app")
            await migrations.check_guard(app.dsn)
            door = Listener(
                _server(app, wakeups, settings, probes, transports.kafka_queues),
                settings.listen_host,
                settings.listen_port,
                setting="AMEIDE_LISTEN_PORT",
            )
            door.bind()
            loops.append(tasks.create_task(door.run_until_closed()))
            started.append(door.listening())
        if "relay" in roles:
            relay = await database("relay")
            await carry(relay, topics_of(transports))
            probes.gauges.add(partial(gauges.of_relay, relay, transports.kafka_queues))
            moving = Relay(relay, wakeups, elsewhere=transports.kafka_queues, partition=settings.log_partition_messages)
            loops.append(tasks.create_task(moving.run()))
        if "forwarder" in roles and transports.any_kafka:
            # Loaded only by who needs Kafka, here and for the ingress.
            from ameide.app import kafka

            log_reader = await database("ingress", kafka.IDLE_SECONDS)
            await carry(log_reader, topics_of(transports))
            for loop in await kafka.forwarding(stack, settings, transports, log_reader, wakeups, probes):
                loops.append(tasks.create_task(loop))
        if "sweeper" in roles:
            loops.append(tasks.create_task(Sweeper(await database("sweeper"), wakeups).run()))
        if "projector" in roles:
            projector = await database("projector")
            probes.gauges.add(partial(gauges.of_consumer, projector, "projector"))
            loops.append(tasks.create_task(Projector(projector, wakeups).run()))
        if "notifier" in roles:
            place = await database("ingress", 0)
            senders = _senders(settings)
            await keep_place(place, notifier.CONSUMER, wanted=bool(senders))
            if senders:
                asked = await stack.enter_async_context(
                    Clients(_need(settings, "address"), _need(settings, "process_token"))
                )
                reader = Consumer(PostgresFactStream(place, notifier.CONSUMER, wakeups), place, notifier.CONSUMER)
                probes.gauges.add(partial(gauges.of_consumer, place, notifier.CONSUMER))
                loops.append(tasks.create_task(notifier.Notifier(reader, senders, asked, wakeups).run()))
        if roles & {"relay", "domain", "forwarder", "ingress", "projector", "sweeper", "notifier"}:
            background.append(tasks.create_task(wakeups.connect(_need(settings, "database_url_app"))))
        if roles & {"ingress", "worker"}:
            clients = await stack.enter_async_context(
                Clients(_need(settings, "address"), _need(settings, "process_token"))
            )
            probes.need("the Domain", clients.check)
            if "ingress" in roles:
                # It holds its place in the log while it signals, however long Temporal takes.
                store = await database("ingress", 0)
                await carry(store, topics_of(transports))
                probes.gauges.add(partial(gauges.of_consumer, store, "ingress"))
                stream = await _facts(store, wakeups, settings, transports)
                stack.push_async_callback(stream.close)
                consumer = Consumer(stream, store, "ingress")
                callers.append(Ingress(consumer, clients, settings.temporal_address, settings.temporal_namespace))
            if "worker" in roles:
                worker = ProcessWorker(
                    clients, settings.temporal_address, settings.temporal_namespace, grace=settings.drain_seconds
                )
                callers.append(worker)
                started.append(worker.ready.wait())
        calling = [tasks.create_task(caller.run()) for caller in callers]
        for caller in callers:
            probes.need(f"Temporal for the {type(caller).__name__}", caller.check)

        if await unless(stop.asked, _all(started)) is not None:
            probes.closed = ""
            log.info("ready", extra={"roles": sorted(roles)})
            on_ready()
            await stop.asked.wait()
        probes.closed = "stopping"
        log.info("stopping", extra={"roles": sorted(roles)})
        deadline = asyncio.get_running_loop().time() + settings.drain_seconds
        # Polls end, and each loop ends after the batch in hand.
        wakeups.close()
        for caller in callers:
            caller.stop()
        in_time = await stop.ended(calling, deadline)
        if door is not None:
            door.close()
        if not (await stop.ended(loops, deadline) and in_time):
            log.warning("ending at once what has not ended", extra={"drain_seconds": settings.drain_seconds})
        for task in (*calling, *loops, *background):
            task.cancel()


async def _facts(store: Database, wakeups: Wakeups, settings: Settings, transports: Transports) -> FactStream:
    """Where the ingress gets its facts from; `store` is its database."""
    if transports.facts_on_kafka:
        from ameide.app import kafka

        return kafka.facts_for_ingress(settings, store)
    await adopt(store)
    return PostgresFactStream(store, "ingress", wakeups)


def _senders(settings: Settings) -> list[Sender]:
    """The ways to tell that a gate waits. Raises InvalidArgument for a webhook that cannot be signed or reached."""
    senders: list[Sender] = []
    if settings.notify_command:
        senders.append(CommandSender(settings.notify_command, config.passed_through(_TO_A_COMMAND)))
    if settings.notify_webhook_url:
        senders.append(Webhook(settings.notify_webhook_url, settings.notify_webhook_secret))
    return senders


async def _all(started: Sequence[Coroutine[Any, Any, object]]) -> bool:
    await asyncio.gather(*started)
    return True


async def _answers(database: Database) -> None:
    async with database.transaction(None):
        return


def _server(
    database: Database, wakeups: Wakeups, settings: Settings, probes: Probes, elsewhere: Collection[str]
) -> Server:
    def wake() -> None:
        wakeups.ring("outbox")

    tokens = KnownTokens(database)
    door = (Door(tokens.authenticate, for_others=True),)
    objects = LazyObjects(settings)
    archived = ArchivedLog(database, objects)
    service = Service(database, wake)
    bounds = Bounds.of(settings.upload_megabytes)
    services: list[ConnectASGIApplication[Any]] = [
        GovernanceCommandServiceASGIApplication(GovernanceCommands(service), interceptors=door),
        KnowledgeCommandServiceASGIApplication(KnowledgeCommands(service), interceptors=door),
        ConversationCommandServiceASGIApplication(ConversationCommands(service), interceptors=door),
        WorkCommandServiceASGIApplication(
            WorkCommands(
                service,
                wakeups,
                lease_seconds=settings.lease_seconds,
                bounds=bounds,
                elsewhere=elsewhere,
            ),
            interceptors=door,
        ),
        ProcessFactServiceASGIApplication(ProcessFacts(service), interceptors=door),
        AccessServiceASGIApplication(access.Access(service, tokens.forget), interceptors=door),
        GovernanceQueryServiceASGIApplication(GovernanceQueries(database, wakeups, archived), interceptors=door),
        WorkQueryServiceASGIApplication(WorkQueries(database, wakeups), interceptors=door),
    ]
    return Server(services, probes, EvidenceDoor(tokens.authenticate, Uploads(service, bounds), objects))
