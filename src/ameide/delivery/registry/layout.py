"""A folder as a registry: one OCI image layout (image-spec 1.1) for every repository. Any OCI tool can read it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import re
import secrets
from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

from ameide.delivery.registry.oci import IMAGE_MANIFEST, LAYOUT_FILE, REF_NAME, references
from ameide.delivery.registry.port import RegistryError, digest_of, verified

NAME = "local"

_REPOSITORY = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*(?:/[a-z0-9]+(?:[._-][a-z0-9]+)*)*")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class LayoutRegistry:
    """See `Registry`. Files appear by rename, so a reader never sees half a blob; the index is changed under a lock."""

    name = NAME

    def __init__(self, root: str | Path) -> None:
        self._root = Path(root)

    async def has_blob(self, repository: str, digest: str) -> bool:
        """Whether the blob is there, with the right bytes."""
        try:
            await self.get_blob(repository, digest)
        except RegistryError:
            return False
        return True

    async def put_blob(self, repository: str, digest: str, data: bytes) -> None:
        """Store a blob; one that is damaged in the folder is replaced."""
        verified(data, digest, f"{self.name}/{repository}")
        path = self._blob(repository, digest)
        await asyncio.to_thread(_write, path, data)

    async def get_blob(self, repository: str, digest: str) -> bytes:
        """The bytes of a blob or manifest, verified."""
        path = self._blob(repository, digest)
        try:
            data = await asyncio.to_thread(path.read_bytes)
        except OSError as error:
            raise RegistryError(
                f"{self.name}/{repository} has no {digest} ({error.strerror})",
                field="image_ref",
                remedy="Publish the release again.",
            ) from error
        return verified(data, digest, f"{self.name}/{repository}")

    async def put_manifest(self, repository: str, data: bytes, tag: str) -> str:
        """Store a manifest and let the tag name it.

        Raises `RegistryError` when one of its blobs is missing or damaged.
        """
        for digest in references(data):
            await self.get_blob(repository, digest)
        digest = digest_of(data)
        await self.put_blob(repository, digest, data)
        await asyncio.to_thread(self._index, repository, digest, len(data), tag)
        return digest

    async def tagged(self, repository: str, tag: str) -> str:
        """The digest that a tag names; empty for none."""
        for manifest in self._read_index(self._folder(repository)):
            if manifest.get("annotations", {}).get(REF_NAME) == tag:
                return cast(str, manifest["digest"])
        return ""

    def _folder(self, repository: str) -> Path:
        if not _REPOSITORY.fullmatch(repository):
            raise RegistryError(
                f"{repository!r} is no name of a repository",
                field="component",
                remedy="Use lower-case letters, digits, - _ . and /.",
            )
        return self._root / repository

    def _blob(self, repository: str, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise RegistryError(
                f"{digest!r} is no digest", field="image_ref", remedy="It reads sha256:<64 hex digits>."
            )
        return self._folder(repository) / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def _index(self, repository: str, digest: str, size: int, tag: str) -> None:
        folder = self._folder(repository)
        with _locked(folder):
            entry = {"mediaType": IMAGE_MANIFEST, "digest": digest, "size": size, "annotations": {REF_NAME: tag}}
            others = [
                manifest
                for manifest in self._read_index(folder)
                if manifest.get("annotations", {}).get(REF_NAME) != tag
            ]
            index = {"schemaVersion": 2, "manifests": [*others, entry]}
            _write(folder / "oci-layout", LAYOUT_FILE)
            _write(folder / "index.json", json.dumps(index, indent=2, sort_keys=True).encode() + b"\n")

    def _read_index(self, folder: Path) -> list[dict[str, Any]]:
        try:
            index = json.loads((folder / "index.json").read_bytes())
        except FileNotFoundError:
            return []
        except ValueError as error:
            raise RegistryError(f"{folder / 'index.json'} is damaged ({error})", remedy="Restore the file.") from error
        return cast(list[dict[str, Any]], index.get("manifests", []))


@contextlib.contextmanager
def _locked(folder: Path) -> Generator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(path: Path, data: bytes) -> None:
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == data:
            return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
