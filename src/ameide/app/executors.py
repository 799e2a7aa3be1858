"""What does the work: executors, each with the sources of its claims."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Collection, Mapping, Sequence

from ameide import config, logs
from ameide.config import Settings
from ameide.contracts.runners import one_shot
from ameide.contracts.transports import KAFKA, queues_by_kafka
from ameide.errors import InvalidArgument
from ameide.infra.claiming import Invited, Source
from ameide.infra.pausing import Pauses
from ameide.infra.redaction import Redactor
from ameide.infra.roles import Role, codex_variables
from ameide.infra.runners.external import run_outside
from ameide.infra.runners.once import run_once as run_one
from ameide.infra.runners.pool import run_pool
from ameide.infra.serving import Sources, executing, none_invited, until_stopped
from ameide.infra.settings import OPERATOR_VARIABLES, STORE_VARIABLES
from ameide.infra.supervisor import READY
from ameide.rpc.clients import Clients
from ameide.stopping import Stop
from ameide_core_proto.transformation.work.v1.command_service_pb import ClaimAnswer

logger = logging.getLogger(__name__)
CHILD = (sys.executable, "-m", "ameide.app.executors")
"""The program that is one executor of a pool; its argument is the role."""


def pool(settings: Settings, on_ready: Callable[[], None]) -> None:
    """Run the worker pool, author and verifier, until SIGTERM or SIGINT."""
    logs.configure(settings.log_level, Redactor(config.secret_values(settings)).text)
    invited(settings, "", [queue for role in Role for queue in role.queues])
    asyncio.run(run_pool(settings, _operator(settings), CHILD, on_ready))


def run_once(settings: Settings, queue: str, wait: float, on_answer: Callable[[], None]) -> ClaimAnswer:
    """Take one work of a queue and do it; see `ameide.infra.runners.once`.

    Raises InvalidArgument for a wait that is too short to be given what a killed member of the queue's group held.
    """
    logs.configure(settings.log_level, Redactor(config.secret_values(settings)).text)
    if queue in queues_by_kafka(settings.queue_transport) and wait <= settings.kafka_session_seconds:
        raise InvalidArgument(
            f"{wait:g} s are no longer than the session of {settings.kafka_session_seconds} s",
            field="--wait",
            remedy="Wait longer, or lower AMEIDE_KAFKA_SESSION_SECONDS",
        )
    sources = invited(settings, one_shot(Role.of(queue).value), (queue,))
    return asyncio.run(run_one(settings, queue, _operator(settings), wait, on_answer, invited=sources))


def runner(settings: Settings, queues: Sequence[str], on_ready: Callable[[], None]) -> None:
    """Serve the gateway from outside until SIGTERM or SIGINT; see `ameide.infra.runners.external`."""
    logs.configure(settings.log_level, Redactor(config.secret_values(settings)).text)
    asyncio.run(run_outside(settings, queues, _operator(settings), on_ready))


def _operator(settings: Settings) -> dict[str, str]:
    """The operator's variables that an executor may have for git, tools and coders."""
    named = (*settings.credential_variables, *codex_variables(settings))
    return config.passed_through((*OPERATOR_VARIABLES, *STORE_VARIABLES, *named))


def invited(settings: Settings, name: str, served: Collection[str]) -> Sources:
    """The sources of those of the `served` queues that go by Kafka, for an executor of that name.

    Who serves none of them needs no brokers. Raises InvalidArgument.
    """
    queues = queues_by_kafka(settings.queue_transport).intersection(served)
    if not queues:
        return none_invited
    # Kafka's client is loaded where a queue goes by Kafka, and nowhere else.
    from ameide.events.backends.kafka.connection import KafkaConnection
    from ameide.events.backends.kafka.intents import KafkaIntentQueue

    connection = KafkaConnection.of(settings)

    def sources(clients: Mapping[str, Clients]) -> Mapping[str, Callable[[], Source]]:
        def member() -> Source:
            return Invited(KafkaIntentQueue(connection, settings.kafka_session_seconds), clients, name, KAFKA)

        return dict.fromkeys(queues, member)

    return sources


async def _child(role: Role) -> None:
    """The body of one executor of a pool: the operator's variables on the first line, then the pipe stays open."""
    settings = config.read()
    logs.configure(settings.log_level)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    operator: Mapping[str, str] = json.loads(await reader.readline() or b"{}")
    stop = Stop()

    async def listen() -> None:
        await reader.read()
        logger.warning("the supervisor is gone; giving work back")
        stop.ask()

    listening = asyncio.create_task(listen())
    try:
        sources, pauses = invited(settings, role.value, role.queues), Pauses.of(settings.state_dir)
        async with executing(settings, role, operator, invited=sources, pauses=pauses) as executor:
            stop.on_signals()
            print(READY.decode(), flush=True)
            await until_stopped(executor, executor.serve(), stop, settings.drain_seconds)
    finally:
        listening.cancel()


if __name__ == "__main__":
    asyncio.run(_child(Role(sys.argv[1])))
