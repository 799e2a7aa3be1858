"""One work and out: what a Job of a cluster is made for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ameide.config import Settings
from ameide.infra.roles import Role
from ameide.infra.serving import Sources, executing, none_invited, until_stopped
from ameide.stopping import Stop
from ameide_core_proto.transformation.work.v1.command_service_pb import ClaimAnswer


async def run_once(
    settings: Settings,
    queue: str,
    operator: Mapping[str, str],
    wait: float,
    on_answer: Callable[[], None],
    *,
    invited: Sources = none_invited,
) -> ClaimAnswer:
    """Wait up to `wait` seconds for one invitation of a queue, claim its work and do it as the queue's role.

    `on_answer` is called once the claim has its answer. On SIGTERM or SIGINT the claim is given back. NONE when there
    was no work, or we were stopped before. Raises Unreachable when nobody answered,
    PermissionDenied when the token does not serve the queue.
    """
    stop = Stop()
    stop.on_signals()
    async with executing(settings, Role.of(queue), operator, queues=(queue,), once=True, invited=invited) as executor:
        doing = executor.run_once(wait, on_answer)
        return await until_stopped(executor, doing, stop, settings.drain_seconds) or ClaimAnswer.NONE
