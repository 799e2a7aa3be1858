"""One read: who reads, from which position, what was found, and which records that rests on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, TypeVar

from protobuf import Message

from ameide.errors import NotFound, PermissionDenied
from ameide.events.wakeups import Wakeups
from ameide.rpc.interceptors import Caller, current_caller
from ameide.storage.db import Database, Row, Transaction
from ameide.storage.sql import load
from ameide.views import paging
from ameide_core_proto.common.v1.metadata_pb import Scope
from ameide_core_proto.common.v1.reading_pb import Citation, CitationKind, Page, ReadContext
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    Change,
    Consent,
    Conversation,
    Gate,
    Promotion,
    Release,
    Repository,
    Run,
    TenantBudget,
)
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact
from ameide_core_proto.transformation.work.v1.work_pb import WorkRequest

WAIT_SECONDS = 5.0
_POLL_SECONDS = 0.1
_MANY = 10_000
_SQL = load("views")
S = TypeVar("S", bound=Message[Any])
KINDS: dict[type[Message[Any]], str] = {
    Repository: "repository",
    Policy: "policy",
    Change: "change",
    Run: "run",
    Gate: "gate",
    Release: "release",
    Promotion: "promotion",
    Artifact: "artifact",
    TenantBudget: "tenant_budget",
    Conversation: "conversation",
    Consent: "consent",
    WorkRequest: "work",
}


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list is narrowed by; empty means any."""

    change: str = ""
    run: str = ""
    repository: str = ""
    statuses: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        scope: Scope | None,
        *,
        change: str = "",
        run: str = "",
        repository: str = "",
        statuses: Sequence[IntEnum] = (),
    ) -> Filter:
        """From a request; a repository in the scope narrows like one in the request."""
        in_scope = scope.repository_id if scope else ""
        return cls(change, run, repository or in_scope, tuple(status.name for status in statuses))


@dataclass(slots=True)
class Reading:
    """An open read in the caller's tenant. Everything that it finds is cited."""

    tx: Transaction
    context: ReadContext
    citations: list[Citation] = field(default_factory=list[Citation])

    @property
    def tenant_id(self) -> str:
        """Whose records are read."""
        return self.context.scope.tenant_id if self.context.scope else ""

    def cite(self, kind: CitationKind, ref: str, position: int = 0, subject: str = "") -> Citation:
        """Cite a record once; a fact once for each aggregate whose state it told."""
        citation = Citation(kind=kind, ref=ref, log_position=position, subject=subject)
        if citation not in self.citations:
            self.citations.append(citation)
        return citation

    async def find(self, kind: type[S], id: str, *, table_kind: str = "") -> S | None:
        """The newest state of an aggregate, or None."""
        row = await self.tx.fetch_one(_SQL["get_state"], {"kind": table_kind or KINDS[kind], "id": id})
        return self.opened(kind, row) if row else None

    async def get(self, kind: type[S], id: str) -> S:
        """The newest state of an aggregate. Raises NotFound, for another tenant's id too."""
        found = await self.find(kind, id)
        if found is None:
            raise not_found(KINDS[kind], id)
        return found

    async def newest(self, kind: type[S], changes: Sequence[str]) -> dict[str, S]:
        """The newest of each of these changes, by change."""
        parameters = {"kind": KINDS[kind], "changes": list(changes)}
        rows = await self.tx.fetch_all(_SQL["newest_of_changes"], parameters) if changes else []
        return {row["change_id"]: self.opened(kind, row) for row in rows}

    async def page(self, kind: type[S], narrowed: Filter, page: Page | None) -> tuple[list[S], str]:
        """A page, newest first, and the token of the next one or an empty string."""
        size = paging.size_of(page)
        rows = await self._rows(kind, narrowed, paging.before(page), size + 1)
        token = paging.encode(rows[size - 1]["first_position"]) if len(rows) > size else ""
        return [self.opened(kind, row) for row in rows[:size]], token

    async def every(self, kind: type[S], narrowed: Filter, keep: Callable[[S], bool] | None = None) -> list[S]:
        """All of them that `keep` takes, oldest first; for what belongs to one change or one repository."""
        rows = await self._rows(kind, narrowed, paging.FIRST, _MANY)
        kept = [row for row in reversed(rows) if keep is None or keep(kind.from_binary(row["body"]))]
        return [self.opened(kind, row) for row in kept]

    async def _rows(self, kind: type[S], narrowed: Filter, before: int, limit: int) -> list[Row]:
        parameters = {
            "kind": KINDS[kind],
            "change": narrowed.change,
            "run": narrowed.run,
            "repository": narrowed.repository,
            "statuses": list(narrowed.statuses),
            "before": before,
            "limit": limit,
        }
        return await self.tx.fetch_all(_SQL["list_states"], parameters)

    def opened(self, kind: type[S], row: Row) -> S:
        """The state of a row, cited by the fact that brought it."""
        subject = f"{row['kind']}:{row['id']}"
        self.cite(CitationKind.DOMAIN_FACT, row["message_id"], row["position"], subject)
        return kind.from_binary(row["body"])


class Reader:
    """Opens reads. `db` is of the application role, so that row-level security keeps each caller in its tenant."""

    def __init__(self, db: Database, wakeups: Wakeups) -> None:
        self._db = db
        self._wakeups = wakeups

    @asynccontextmanager
    async def open(self, scope: Scope | None, min_position: int = 0) -> AsyncGenerator[Reading]:
        """Wait up to five seconds for the position, then read what is there; the read context tells how far that is.

        Raises PermissionDenied for an executor's token, NotFound for another tenant's scope.
        """
        caller = current_caller()
        _admit(caller, scope)
        if min_position:
            await self._wait_for(caller.tenant_id, min_position)
        async with self._db.transaction(caller.tenant_id) as tx:
            seen = Scope(
                tenant_id=caller.tenant_id,
                organization_id=scope.organization_id if scope else "",
                repository_id=scope.repository_id if scope else "",
            )
            # Read before the rows are: what follows is at least as new as the position it claims.
            position = await _watermark(tx)
            yield Reading(tx, ReadContext(scope=seen, asked_position=min_position, log_position=position))

    async def _wait_for(self, tenant_id: str, position: int) -> None:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                with self._wakeups.bell("view") as bell:
                    while await self._reached(tenant_id) < position:
                        await bell.wait(_POLL_SECONDS)
        except TimeoutError:
            return

    async def _reached(self, tenant_id: str) -> int:
        async with self._db.transaction(tenant_id) as tx:
            return await _watermark(tx)


def not_found(kind: str, id: str) -> NotFound:
    """The one answer for an unknown id and for another tenant's."""
    return NotFound(
        f"no {kind} {id}", remedy="Check the id; `ameide change list` and the other lists show what there is"
    )


async def _watermark(tx: Transaction) -> int:
    row = await tx.fetch_one(_SQL["watermark"])
    return int(row["position"]) if row else 0


def _admit(caller: Caller, scope: Scope | None) -> None:
    if not caller.roles - {"executor"}:
        raise PermissionDenied(
            f"{caller.principal_id} may not read the projections",
            remedy="Use a token of a principal with the role viewer; executors get all they need with the work",
        )
    if scope is not None and scope.tenant_id and scope.tenant_id != caller.tenant_id:
        raise NotFound(f"no tenant {scope.tenant_id}", remedy="Use a token of that tenant")
