"""The runner outside: one executor that holds a token and reaches the Domain's door, and nothing else of ameide."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from ameide.config import Settings
from ameide.contracts.topics import short_name
from ameide.errors import InvalidArgument
from ameide.infra.roles import Role
from ameide.infra.serving import executing, until_stopped
from ameide.infra.settings import GATEWAY, tokens_of
from ameide.rpc.clients import is_here
from ameide.stopping import Stop

logger = logging.getLogger(__name__)


async def run_outside(
    settings: Settings, queues: Sequence[str], operator: Mapping[str, str], on_ready: Callable[[], None]
) -> None:
    """Work on `queues` until SIGTERM or SIGINT, which give back what runs; while nobody answers, try again for ever.

    Evidence goes through the door. Raises InvalidArgument for queues of both roles, and for tokens that are none.
    """
    role = role_of(queues)
    tokens_of(settings.token)
    if urlsplit(settings.address).scheme != "https" and not is_here(settings.address):
        logger.warning("the token goes in the clear; use an https:// address", extra={"address": settings.address})
    stop = Stop()
    stop.on_signals()
    settings = replace(settings, object_store=GATEWAY)
    async with executing(settings, role, operator, queues=queues) as executor:
        on_ready()
        await until_stopped(executor, executor.serve(), stop, settings.drain_seconds)


def role_of(queues: Sequence[str]) -> Role:
    """The role that serves all of the queues. Raises InvalidArgument when they belong to both.

    Whoever writes a change does not judge it, so the Domain would refuse half of what such a runner does.
    """
    roles = {Role.of(queue): queue for queue in queues}
    if len(roles) > 1:
        one, other = (short_name(queue) for queue in roles.values())
        raise InvalidArgument(
            f"{one} and {other} are for two principals: who writes a change does not verify it",
            field="--queue",
            remedy="Run two runners, each with a token of its own principal",
        )
    return next(iter(roles))
