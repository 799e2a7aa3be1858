"""Declared reads of projections: what a run may look at, within a deadline, told in a few lines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType

from temporalio import activity

from ameide.contracts.reads import READS
from ameide.errors import AmeideError, InvalidArgument, Unreachable
from ameide.faults import reach
from ameide.process.failing import as_failure
from ameide.process.steps import PERFORM_READ, Read, Reading
from ameide.rpc.clients import Clients
from ameide_core_proto.common.v1.metadata_pb import Scope
from ameide_core_proto.common.v1.reading_pb import Page, ReadContext
from ameide_core_proto.transformation.governance.v1 import query_service_pb as q
from ameide_core_proto.transformation.governance.v1.governance_pb import ChangeStatus, PromotionStatus
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy

_LINES, _WIDTH = 5, 240
_Told = tuple[ReadContext | None, Sequence[str]]


class Readings:
    """The activity, on what it needs: the clients of the read side."""

    def __init__(self, domain: Clients) -> None:
        self._domain = domain

    @activity.defn(name=PERFORM_READ)
    async def perform_read(self, read: Read) -> Reading:
        """Read once. What does not answer in time is given up; whether it is asked again, the workflow's deadline says.

        Fails with the error's type, and is not repeated for a query that is no declared one.
        """
        reader = _READERS.get(read.query)
        try:
            if reader is None:
                raise InvalidArgument(
                    f"{read.query!r} is no query that a run may read",
                    field="policy.declared_reads",
                    remedy=f"Declare some of {', '.join(READS)}",
                )
            try:
                reach("worker.perform_read.before")
                async with asyncio.timeout(read.seconds):
                    context, lines = await reader(self._domain, read)
                reach("worker.perform_read.after")
            except TimeoutError as error:
                raise Unreachable(f"no answer within {read.seconds} s", remedy="Is the projector running?") from error
        except AmeideError as error:
            raise as_failure(error) from error
        shown = [" ".join(line.split())[:_WIDTH] for line in lines[:_LINES]]
        return Reading(context.log_position if context else 0, shown)


async def _repository(domain: Clients, read: Read) -> _Told:
    answer = await domain.queries.get_repository(
        q.GetRepositoryRequest(scope=_scope(read), repository_id=read.repository_id)
    )
    policy = answer.policy or Policy()
    gates = ", ".join(rule.kind.name.lower() for rule in policy.gates if rule.required) or "none"
    branch = answer.repository.default_branch if answer.repository else ""
    return answer.read_context, [f"{read.repository_id} ({branch}), policy {policy.version} asks for gates: {gates}"]


async def _change(domain: Clients, read: Read) -> _Told:
    answer = await domain.queries.get_change(q.GetChangeRequest(scope=_scope(read), change_id=read.change_id))
    said = f"{len(answer.runs)} runs, {len(answer.artifacts)} artifacts and {len(answer.works)} works of this change"
    ended = [f"run {run.number} ended: {run.outcome}" for run in answer.runs if run.outcome]
    return answer.read_context, [said, *ended]


async def _changes(domain: Clients, read: Read) -> _Told:
    request = q.ListChangesRequest(
        scope=_scope(read), repository_id=read.repository_id, statuses=[ChangeStatus.OPEN], page=Page(size=100)
    )
    answer = await domain.queries.list_changes(request)
    found = [summary.change for summary in answer.changes if summary.change]
    others = [change for change in found if change.change_id != read.change_id]
    more = " or more" if answer.next_page_token else ""
    told = [f"{change.change_id} is open too: {change.title}" for change in others]
    return answer.read_context, [f"{len(others)}{more} other changes are open", *told]


async def _releases(domain: Clients, read: Read) -> _Told:
    # Newest first, and of the scope's repository alone.
    answer = await domain.queries.list_releases(q.ListReleasesRequest(scope=_scope(read), page=Page(size=1)))
    newest = next(iter(answer.releases), None)
    told = f"the last release is {newest.release_id} at {newest.commit_sha}" if newest else "no release yet"
    return answer.read_context, [told]


async def _environments(domain: Clients, read: Read) -> _Told:
    request = q.ListEnvironmentsRequest(scope=_scope(read), repository_id=read.repository_id)
    answer = await domain.queries.list_environments(request)
    told = [
        f"{one.environment}: {one.release_id or 'nothing'}, {PromotionStatus(one.status).name.lower()}"
        for one in answer.environments
    ]
    return answer.read_context, told or ["nothing was promoted yet"]


def _scope(read: Read) -> Scope:
    return Scope(tenant_id=read.tenant_id, repository_id=read.repository_id)


_READERS: Mapping[str, Callable[[Clients, Read], Awaitable[_Told]]] = MappingProxyType(
    {
        "GetRepository": _repository,
        "GetChange": _change,
        "ListChanges": _changes,
        "ListReleases": _releases,
        "ListEnvironments": _environments,
    }
)
