"""What people do to the records of an installation, with its database in hand: admit, redrive, archive, rebuild."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime

from ameide import faults
from ameide.app.store import LazyObjects, object_store
from ameide.config import Settings
from ameide.config import needed as _need
from ameide.domain import access
from ameide.domain.service import Service
from ameide.errors import Unauthenticated
from ameide.events import parking
from ameide.events.archive import Archiver, Held
from ameide.events.archived import Archive, ArchivedLog
from ameide.events.parking import Parked
from ameide.storage.db import Database
from ameide.views.rebuild import Rebuild
from ameide.views.shadow import Difference
from ameide_core_proto.transformation.governance.v1.governance_pb import Principal


async def bootstrap(settings: Settings, admissions: Sequence[tuple[Principal, tuple[str, ...]]]) -> dict[str, str]:
    """Admit principals and issue one token each, with the queues it may serve; returns their tokens by principal id.

    For who holds the database: `ameide up` on a fresh installation. Over the wire it is AccessService, for admins.
    """
    async with _opened(_need(settings, "database_url_app")) as database:
        service = Service(database, lambda: None)
        return {
            principal.principal_id: await access.bootstrap(
                service, settings.tenant, principal.principal_id, principal.kind, principal.roles, queues
            )
            for principal, queues in admissions
        }


async def queues_of(settings: Settings, tokens: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """The queues that tokens serve, by the names that they are given with; one that is not valid is left out."""
    served: dict[str, frozenset[str]] = {}
    if not tokens:
        return served
    async with _opened(_need(settings, "database_url_app")) as database:
        for name, token in tokens.items():
            with suppress(Unauthenticated):
                caller, _ = await access.authenticate(database, token)
                served[name] = frozenset(caller.queues)
    return served


async def parked(settings: Settings) -> list[Parked]:
    """The messages that consumers set aside, oldest first."""
    async with _opened(_need(settings, "database_url_ingress")) as database:
        return await parking.list_parked(database)


async def redrive(settings: Settings, consumer: str, key: str) -> int:
    """Release the parked messages of a key in order; returns how many."""
    async with _opened(_need(settings, "database_url_ingress")) as database:
        return await parking.redrive(database, consumer, key)


async def archive(
    settings: Settings, keep: int, before: datetime | None, tell: Callable[[int, int], None]
) -> AsyncGenerator[Archive | Held]:
    """Move old partitions of the log to the object store; see `Archiver.run`."""
    faults.arm(settings.crash_at)
    async with _opened(_need(settings, "database_url_relay")) as database:
        async for done in Archiver(database, object_store(settings), tell).run(keep=keep, before=before):
            yield done


async def archives(settings: Settings) -> list[Archive]:
    """What is archived, oldest first."""
    async with _opened(_need(settings, "database_url_relay")) as database:
        return await ArchivedLog(database, object_store(settings)).list()


async def verify_archive(settings: Settings) -> AsyncGenerator[Archive]:
    """Read all of the archive again; see `ArchivedLog.verify`."""
    async with _opened(_need(settings, "database_url_relay")) as database:
        async for whole in ArchivedLog(database, object_store(settings)).verify():
            yield whole


async def rebuild(settings: Settings, tell: Callable[[int, int], None]) -> int:
    """Make the read model again and swap it in; see `Rebuild.swap`."""
    faults.arm(settings.crash_at)
    async with _opened(_need(settings, "database_url_projector")) as database:
        return await Rebuild(database, ArchivedLog(database, LazyObjects(settings)), tell).swap()


async def compare_rebuild(settings: Settings, tell: Callable[[int, int], None]) -> tuple[int, list[Difference]]:
    """Make the read model again and compare it with the live one; see `Rebuild.compare`."""
    async with _opened(_need(settings, "database_url_projector")) as database:
        return await Rebuild(database, ArchivedLog(database, LazyObjects(settings)), tell).compare()


@asynccontextmanager
async def _opened(dsn: str) -> AsyncGenerator[Database]:
    database = Database(dsn, max_size=4)
    await database.open()
    try:
        yield database
    finally:
        await database.close()
