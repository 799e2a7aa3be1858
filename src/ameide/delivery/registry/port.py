"""The port: content by digest, and manifests that a tag may name.

Every byte is checked against its digest on the way in and out.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

from ameide.errors import AmeideError


class RegistryError(AmeideError):
    """The registry does not have it, or cannot take it. The message names the digest."""


class DigestMismatch(RegistryError):
    """The bytes are not those of their digest: damaged or exchanged. Publish the release again from its commit."""

    def __init__(self, digest: str, actual: str, where: str) -> None:
        super().__init__(
            f"{where}: the bytes under {digest} have {actual}",
            field="image_ref",
            remedy="They were damaged or exchanged; restore the registry, or build and publish the commit again.",
        )
        self.digest, self.actual = digest, actual


class Registry(Protocol):
    """A registry by OCI's rules.

    `name` is the first part of references to its images; repositories are names below it.
    """

    @property
    def name(self) -> str: ...

    async def has_blob(self, repository: str, digest: str) -> bool:
        """Whether the blob is there, with the right bytes."""
        ...

    async def put_blob(self, repository: str, digest: str, data: bytes) -> None:
        """Store a blob. Raises `DigestMismatch` when the bytes are not those of the digest."""
        ...

    async def get_blob(self, repository: str, digest: str) -> bytes:
        """The bytes of a blob or manifest. Raises `RegistryError` when missing, `DigestMismatch` when damaged."""
        ...

    async def put_manifest(self, repository: str, data: bytes, tag: str) -> str:
        """Store a manifest whose blobs are all there, and let `tag` name it; its digest."""
        ...

    async def tagged(self, repository: str, tag: str) -> str:
        """The digest that a tag names; empty for none."""
        ...


def digest_of(data: bytes) -> str:
    """``sha256:<hex>``."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def verified(data: bytes, digest: str, where: str) -> bytes:
    """The data itself when it has that digest. Raises `DigestMismatch`."""
    actual = digest_of(data)
    if actual != digest:
        raise DigestMismatch(digest, actual, where)
    return data
