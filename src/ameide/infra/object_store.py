"""The object store for evidence: a folder or an S3 bucket, by `obstore`. Objects are written once and never changed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, S3Store

from ameide.errors import Conflict, InvalidArgument, NotFound, Unreachable

if TYPE_CHECKING:
    from obstore.store import S3Config

SCHEME = "store:"


def key_of(uri: str) -> str:
    """The object key of ``store:<key>``. Raises `InvalidArgument` for another scheme or a key that leaves the store."""
    key = uri.removeprefix(SCHEME)
    if not uri.startswith(SCHEME) or not key or key.startswith("/") or ".." in key.split("/"):
        raise InvalidArgument(
            f"{uri} is not the uri of an object", field="uri", remedy="It reads store:work/<tenant>/…"
        )
    return key


class ObjectStore:
    """Put-if-absent and get, by keys relative to the store.

    `location` is ``file:///folder`` (created when missing) or ``s3://bucket/prefix``; `options` are those of
    obstore's S3Store (endpoint, access_key_id, secret_access_key, region, …).
    """

    def __init__(self, location: str, options: Mapping[str, str] | None = None, *, retries: int = 3) -> None:
        parts = urlsplit(location)
        self.location = location
        if parts.scheme == "file" and parts.path:
            folder = Path(unquote(parts.path))
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._store: LocalStore | S3Store = LocalStore(folder)
        elif parts.scheme == "s3" and parts.netloc:
            self._store = S3Store(
                parts.netloc,
                prefix=parts.path.strip("/") or None,
                config=cast("S3Config", dict(options or {})),
                retry_config={"max_retries": retries},
            )
        else:
            raise InvalidArgument(
                f"{location!r} is not an object store",
                field="AMEIDE_OBJECT_STORE",
                remedy="Use file:///folder or s3://bucket/prefix.",
            )

    async def put_if_absent(self, uri: str, data: bytes) -> None:
        """Write a new object. The same bytes again are fine; other bytes under a taken key raise `Conflict`."""
        key = key_of(uri)
        try:
            await obstore.put_async(self._store, key, data, mode="create")
        except AlreadyExistsError as error:
            if await self.get(uri) != data:
                raise Conflict(f"{uri} already holds other bytes", remedy="Evidence is never overwritten.") from error
        except (OSError, BaseError) as error:
            raise Unreachable(f"the object store {self.location} did not take {key}: {error}") from error

    async def get(self, uri: str) -> bytes:
        """The bytes of an object. Raises `NotFound`, or `Unreachable` when the store does not answer."""
        key = key_of(uri)
        try:
            return bytes(await (await obstore.get_async(self._store, key)).bytes_async())
        except FileNotFoundError as error:
            raise NotFound(f"{uri} is not in {self.location}") from error
        except (OSError, BaseError) as error:
            raise Unreachable(f"the object store {self.location} did not give {key}: {error}") from error

    async def chunks(self, uri: str) -> AsyncIterator[bytes]:
        """The bytes of an object, piece by piece. Raises as `get` does."""
        key = key_of(uri)
        try:
            async for chunk in (await obstore.get_async(self._store, key)).stream():
                yield bytes(chunk)
        except FileNotFoundError as error:
            raise NotFound(f"{uri} is not in {self.location}") from error
        except (OSError, BaseError) as error:
            raise Unreachable(f"the object store {self.location} did not give {key}: {error}") from error
