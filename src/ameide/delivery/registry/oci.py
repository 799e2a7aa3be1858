"""OCI images without a daemon, reproducible: the same commit and requirements give the same digest (image-spec 1.1).

Entries are sorted, owned by 0:0, with the modes of git and the commit's time; nothing of the building machine is
recorded.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from posixpath import dirname
from typing import Any, cast

from ameide.delivery.registry.port import RegistryError, digest_of, verified

IMAGE_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
IMAGE_CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
REF_NAME = "org.opencontainers.image.ref.name"
REVISION = "org.opencontainers.image.revision"
LAYOUT_FILE = b'{"imageLayoutVersion":"1.0.0"}'

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_MAX_PACKED = 2 << 30


@dataclass(frozen=True)
class Entry:
    """A file of a layer: its bytes, or a link's target; `executable` as in git."""

    data: bytes = b""
    executable: bool = False
    link: str = ""


@dataclass(frozen=True)
class Image:
    """An image: its manifest, and every blob by digest."""

    manifest: bytes
    blobs: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        """The SHA-256 of the manifest, which names the image."""
        return digest_of(self.manifest)


@dataclass(frozen=True)
class Layer:
    """A compressed layer; `diff_id` is the digest of the tar in it."""

    data: bytes
    diff_id: str


def layer(entries: Mapping[str, Entry], time: int) -> Layer:
    """A layer of the entries by path (relative, no leading slash); `time` is seconds since 1970."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(_folders(entries) | entries.keys()):
            entry = entries.get(path)
            info = tarfile.TarInfo(path)
            info.mtime = time
            if entry is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)
            elif entry.link:
                info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.link, 0o777
                tar.addfile(info)
            else:
                info.size, info.mode = len(entry.data), 0o755 if entry.executable else 0o644
                tar.addfile(info, io.BytesIO(entry.data))
    plain = buffer.getvalue()
    return Layer(gzip.compress(plain, 6, mtime=0), digest_of(plain))


def image(
    layers: Sequence[Layer],
    *,
    time: int,
    machine: str,
    entrypoint: Sequence[str],
    env: Mapping[str, str],
    workdir: str,
    port: int,
    labels: Mapping[str, str],
) -> Image:
    """The image of the layers. `machine` is that of `platform.machine()`: it tells for what the layers were made."""
    config = _json(
        {
            "architecture": _ARCHITECTURES.get(machine, machine),
            "os": "linux",
            "created": datetime.fromtimestamp(time, UTC).isoformat().replace("+00:00", "Z"),
            "config": {
                "Entrypoint": list(entrypoint),
                "Env": [f"{name}={value}" for name, value in sorted(env.items())],
                "ExposedPorts": {f"{port}/tcp": {}},
                "Labels": dict(sorted(labels.items())),
                "User": "65532:65532",
                "WorkingDir": workdir,
            },
            "rootfs": {"type": "layers", "diff_ids": [each.diff_id for each in layers]},
        }
    )
    blobs = {digest_of(config): config} | {digest_of(each.data): each.data for each in layers}
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": IMAGE_MANIFEST,
            "config": _descriptor(IMAGE_CONFIG, config),
            "layers": [_descriptor(LAYER, each.data) for each in layers],
            "annotations": dict(sorted(labels.items())),
        }
    )
    return Image(manifest, blobs)


def references(manifest: bytes) -> list[str]:
    """The digests that a manifest names: its config, then its layers in order.

    Raises `RegistryError` for anything else.
    """
    try:
        parsed = cast(dict[str, Any], json.loads(manifest))
        digests = [parsed["config"]["digest"], *(each["digest"] for each in parsed["layers"])]
    except (ValueError, KeyError, TypeError) as error:
        raise RegistryError(
            f"no image manifest ({error!r})", field="manifest", remedy="Build the image again."
        ) from error
    return [str(digest) for digest in digests]


def pack(built: Image) -> bytes:
    """The image as one tar of its OCI layout, reproducible like the image."""
    index = {"schemaVersion": 2, "manifests": [_descriptor(IMAGE_MANIFEST, built.manifest)]}
    files = {"oci-layout": LAYOUT_FILE, "index.json": _json(index)}
    files |= {_blob_path(digest): data for digest, data in {**built.blobs, built.digest: built.manifest}.items()}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(files):
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(files[path]), 0o644
            tar.addfile(info, io.BytesIO(files[path]))
    return buffer.getvalue()


def unpack(data: bytes, digest: str) -> Image:
    """The image of that digest in a packed layout, every blob verified.

    Nothing is written to disk. Raises `RegistryError`.
    """
    if len(data) > _MAX_PACKED:
        raise RegistryError(
            f"the layout has {len(data)} bytes, more than {_MAX_PACKED}",
            field="build_uri",
            remedy="Build a smaller image.",
        )
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            files = {
                member.name: cast(io.BufferedReader, tar.extractfile(member)).read() for member in tar if member.isreg()
            }
    except tarfile.TarError as error:
        raise RegistryError(f"no OCI layout ({error})", field="build_uri", remedy="Build the commit again.") from error

    def blob(wanted: str) -> bytes:
        found = files.get(_blob_path(wanted))
        if found is None:
            raise RegistryError(f"the layout has no {wanted}", field="build_digest", remedy="Build the commit again.")
        return verified(found, wanted, "the built layout")

    manifest = blob(digest)
    return Image(manifest, {each: blob(each) for each in references(manifest)})


def _folders(paths: Mapping[str, Entry]) -> set[str]:
    found: set[str] = set()
    for path in paths:
        while path := dirname(path):
            found.add(path)
    return found


def _blob_path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _descriptor(media_type: str, data: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
