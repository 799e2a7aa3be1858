"""The object store of an installation."""

from __future__ import annotations

from functools import cached_property

from ameide.config import Settings
from ameide.infra.object_store import ObjectStore


def object_store(settings: Settings) -> ObjectStore:
    """The store that evidence lies in."""
    return ObjectStore(settings.object_store)


class LazyObjects:
    """The object store, opened when an object is asked for: most readers of the Domain never do."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _store(self) -> ObjectStore:
        return object_store(self._settings)

    async def put_if_absent(self, uri: str, data: bytes) -> None:
        """See `Objects.put_if_absent`."""
        await self._store.put_if_absent(uri, data)

    async def get(self, uri: str) -> bytes:
        """See `Objects.get`."""
        return await self._store.get(uri)
