"""Images: equal input gives equal bytes, one other byte is refused, nothing leaves the folder it is unpacked to."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest

from ameide.delivery.registry import DigestMismatch, LayoutRegistry, RegistryError, digest_of
from ameide.delivery.registry.oci import Entry, Image, Layer, image, layer, pack, unpack
from ameide.delivery.registry.rootfs import LayerRefused, unpack_layers

FILES = {"app/b.py": Entry(b"b"), "app/a.sh": Entry(b"a", executable=True), "app/link": Entry(link="b.py")}


def built(files: dict[str, Entry] = FILES) -> Image:
    return image(
        [layer(files, 1_700_000_000)],
        time=1_700_000_000,
        machine="x86_64",
        entrypoint=["python", "-m", "app"],
        env={"B": "2", "A": "1"},
        workdir="/app",
        port=8080,
        labels={"org.opencontainers.image.revision": "c" * 40},
    )


def hostile(*members: tuple[tarfile.TarInfo, bytes]) -> Layer:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return Layer(gzip.compress(buffer.getvalue()), digest_of(buffer.getvalue()))


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def test_the_same_files_give_the_same_bytes_in_any_order() -> None:
    assert pack(built()) == pack(built(dict(reversed(FILES.items()))))
    assert built().digest != built({**FILES, "app/b.py": Entry(b"c")}).digest


def test_a_packed_layout_gives_the_image_back() -> None:
    assert unpack(pack(built()), built().digest) == built()


def test_a_flipped_byte_is_refused_and_its_digest_named() -> None:
    packed = bytearray(pack(built()))
    digest = json.loads(built().manifest)["layers"][0]["digest"]
    packed[packed.index(built().blobs[digest]) + 20] ^= 1
    with pytest.raises(DigestMismatch, match=digest):
        unpack(bytes(packed), built().digest)


async def test_a_registry_keeps_tags_and_refuses_what_is_damaged(tmp_path: Path) -> None:
    registry, made = LayoutRegistry(tmp_path), built()
    with pytest.raises(RegistryError, match="has no sha256"):
        await registry.put_manifest("orders", made.manifest, "c" * 40)
    for digest, data in made.blobs.items():
        await registry.put_blob("orders", digest, data)
    assert await registry.put_manifest("orders", made.manifest, "c" * 40) == made.digest
    assert await registry.tagged("orders", "c" * 40) == made.digest
    assert await registry.tagged("orders", "d" * 40) == ""
    path = tmp_path / "orders" / "blobs" / "sha256" / made.digest.removeprefix("sha256:")
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(DigestMismatch, match=made.digest):
        await registry.get_blob("orders", made.digest)
    assert not await registry.has_blob("orders", made.digest)
    await registry.put_blob("orders", made.digest, made.manifest)
    assert await registry.has_blob("orders", made.digest)


@pytest.mark.parametrize("name", ["../orders", "Orders", "", "a//b"])
async def test_a_repository_that_leaves_the_registry_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RegistryError, match="no name of a repository"):
        await LayoutRegistry(tmp_path).tagged(name, "x")


def test_layers_are_unpacked_with_modes_and_links(tmp_path: Path) -> None:
    made = layer(FILES, 0)
    unpack_layers([made.data], [made.diff_id], tmp_path)
    assert (tmp_path / "app" / "link").read_bytes() == b"b"
    assert (tmp_path / "app" / "a.sh").stat().st_mode & 0o111


@pytest.mark.parametrize(
    "members",
    [
        [(member("../out"), b"x")],
        [(member("/etc/out"), b"x")],
        [(member("a", tarfile.SYMTYPE, "/etc"), b"")],
        [(member("a/b", tarfile.SYMTYPE, "../../x"), b"")],
        [(member("a", tarfile.SYMTYPE, "b"), b""), (member("a/c"), b"x")],
        [(member("null", tarfile.CHRTYPE), b"")],
        [(member("pipe", tarfile.FIFOTYPE), b"")],
        [(member("a"), b"1"), (member("a"), b"2")],
        [(member("a"), b"1"), (member("b", tarfile.LNKTYPE, "a"), b"")],
        [(member(".wh.a"), b"")],
    ],
)
def test_what_leaves_the_image_is_refused(tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    bad = hostile(*members)
    target = tmp_path / "rootfs"
    target.mkdir()
    with pytest.raises(LayerRefused):
        unpack_layers([bad.data], [bad.diff_id], target)
    assert {path.name for path in tmp_path.iterdir()} == {"rootfs"}


def test_a_layer_that_inflates_to_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LayerRefused, match="inflates to something else"):
        unpack_layers([layer(FILES, 0).data], [digest_of(b"other")], tmp_path)
