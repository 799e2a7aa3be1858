"""`ameide executor`: what does the work, for who starts it alone, and the pause of a pool."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

import click

from ameide.cli.output import say
from ameide.cli.ready import ready_file_option, tell_ready
from ameide.cli.session import Session, pass_session
from ameide.config import Settings
from ameide.contracts.topics import QUEUES, queue_named, short_name
from ameide.errors import Unauthenticated
from ameide.infra.pausing import Pauses
from ameide.infra.roles import Role

# On top of the time after which a broker gives the partitions of a dead consumer to somebody who waits.
_LONGER_THAN_A_SESSION = 15
_one_queue = click.option("--queue", metavar="QUEUE", required=True, help="Full or short name, e.g. `coder`.")
_some_queues = click.option(
    "--queue", "queues", metavar="QUEUE", multiple=True, help="Only this queue; may be said again. Default: all."
)


@click.group()
def executor() -> None:
    """Run delegated work."""


@executor.command()
@ready_file_option
@pass_session
def pool(session: Session, ready_file: Path | None) -> None:
    """Run a long-lived executor: an author for agent work, a verifier for tool runs, each with its own token."""
    # Imported here, as below: the composition loads every part of the program, which `ameide --help` need not wait for.
    from ameide.app import executors

    executors.pool(session.settings, lambda: tell_ready(ready_file))


@executor.command("run-once")
@_one_queue
@click.option("--wait", type=click.IntRange(min=1), metavar="SECONDS", help="How long to wait for work.")
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the process id to this file once the claim is answered.",
)
@pass_session
def run_once(session: Session, queue: str, wait: int | None, ready_file: Path | None) -> None:
    """Wait for one invitation of a queue, claim its work, do it, and exit; made for a Job of a cluster.

    Exit code 0 when the work has its outcome, whatever that is, when there was none or the claim was declined, and
    after SIGTERM, which gives the work back; 3 when the Domain or the broker did not answer. AMEIDE_TOKEN is an
    executor's. The wait is by default longer than the session timeout of the brokers.
    """
    # Nothing is claimed while the program is loaded; afterwards a signal gives back what is.
    signal.signal(signal.SIGTERM, _leave)
    from ameide.app import executors
    from ameide_core_proto.transformation.work.v1.command_service_pb import ClaimAnswer

    topic = queue_named(queue, "--queue")
    settings = _of_executor(session, topic)
    seconds = wait or settings.kafka_session_seconds + _LONGER_THAN_A_SESSION
    answer = executors.run_once(settings, topic, seconds, lambda: tell_ready(ready_file))
    match answer:
        case ClaimAnswer.RUN:
            click.echo(f"Took one work of queue {short_name(topic)}.")
        case ClaimAnswer.NONE:
            click.echo(f"No work of queue {short_name(topic)} to take.")
        case _:
            click.echo(
                f"A work of queue {short_name(topic)} was declined: {answer.name.lower().removeprefix('declined_')}."
            )


@click.command()
@click.option(
    "--queue", "queues", metavar="QUEUE", multiple=True, required=True, help="Full or short name; say it for each."
)
@click.option("--slots", type=click.IntRange(min=1), default=1, show_default=True, help="Works at a time.")
@ready_file_option
@pass_session
def runner(session: Session, queues: Sequence[str], slots: int, ready_file: Path | None) -> None:
    """Run work outside, on a machine that reaches nothing of ameide but the Domain's door.

    Needs AMEIDE_ADDRESS and AMEIDE_TOKEN (or AMEIDE_TOKEN_FILE), made by `ameide token create --only-execute`; several
    tokens, one a tenant, with spaces between them. Evidence goes through the door. HTTPS_PROXY, NO_PROXY and
    SSL_CERT_FILE are honoured. It waits for ever for a door that doesn't answer; SIGTERM gives its work back.
    """
    from ameide.app import executors

    topics = [queue_named(queue, "--queue") for queue in dict.fromkeys(queues)]
    settings = _of_executor(session, topics[0])
    settings = replace(settings, author_slots=slots, verifier_slots=slots)
    executors.runner(settings, topics, lambda: tell_ready(ready_file))


@executor.command()
@_some_queues
@pass_session
def pause(session: Session, queues: Sequence[str]) -> None:
    """Let the pool of this state folder take no more work, until `resume`. What runs goes on."""
    paused = _pauses(session).pause(_named(queues))
    click.echo(f"Paused: {_list(paused)}.")
    say(f"It holds for pools with the state folder {session.state.root}. What runs goes on; `executor resume` ends it.")


@executor.command()
@_some_queues
@pass_session
def resume(session: Session, queues: Sequence[str]) -> None:
    """Let the pool of this state folder take work again."""
    paused = _pauses(session).resume(_named(queues))
    click.echo(f"Still paused: {_list(paused)}." if paused else "No queue is paused.")


def _leave(_number: int, _frame: FrameType | None) -> None:
    os._exit(0)


def _of_executor(session: Session, queue: str) -> Settings:
    """The settings with the way to the Domain; on the machine of `ameide up` with the token that it made."""
    settings = session.settings
    token = settings.token or session.state.token(Role.of(queue).value) or ""
    if not token:
        raise Unauthenticated(
            f"an executor of queue {short_name(queue)} needs a token",
            field="AMEIDE_TOKEN",
            remedy="Set it, or AMEIDE_TOKEN_FILE, to an executor's that serves the queue (`ameide token create`)",
        )
    return replace(settings, address=session.address(), token=token)


def _pauses(session: Session) -> Pauses:
    return Pauses.of(session.settings.state_dir)


def _named(queues: Sequence[str]) -> list[str]:
    return [queue_named(queue, "--queue") for queue in queues] or list(QUEUES)


def _list(queues: frozenset[str]) -> str:
    return ", ".join(short_name(queue) for queue in QUEUES if queue in queues)
