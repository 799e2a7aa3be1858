"""Backups as files: complete or refused, packed while they change, never put where something is."""

from __future__ import annotations

import dataclasses
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ameide import schema
from ameide.cli import backup_files
from ameide.cli.backup_files import STATE, Manifest, complete, pack, partial, unpack, verified
from ameide.engine.snapshot import BASE, LOG
from ameide.errors import InvalidArgument, Refused

from .conftest import CommandLine

MANIFEST = Manifest("0.1.0", "2026-01-01T00:00:00+00:00", schema.known(), "18", "1.32.2", "/srv/ameide", [])


def made(target: Path, manifest: Manifest = MANIFEST) -> Path:
    """A backup of nothing much."""
    beside = partial(target)
    source = target.with_name("source")
    source.mkdir(exist_ok=True)
    pack(source, ["tokens"], beside / STATE)
    (beside / BASE).parent.mkdir()
    for name in (BASE, LOG):
        (beside / name).touch()
    complete(beside, target, manifest)
    return target


def test_a_backup_is_what_it_was_or_refused(tmp_path: Path) -> None:
    folder = made(tmp_path / "b")
    assert verified(folder) == MANIFEST
    with pytest.raises(InvalidArgument, match="there already"):
        partial(folder)
    (folder / "more").touch()
    with pytest.raises(Refused, match="differ in more"):
        verified(folder)
    (folder / "more").unlink()
    (folder / STATE).unlink()
    with pytest.raises(Refused, match=STATE):
        verified(folder)
    sums = (folder / "SHA256SUMS").read_text().splitlines(keepends=True)
    (folder / "SHA256SUMS").write_text("".join(line for line in sums if STATE not in line))
    with pytest.raises(Refused, match=f"it has no {STATE}"):
        verified(folder)
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(Refused, match="no complete backup"):
        verified(folder)


def test_what_an_interruption_left_is_made_anew(tmp_path: Path) -> None:
    (partial(tmp_path / "b") / "half").touch()
    assert {path.name for path in made(tmp_path / "b").iterdir()} == {
        *(STATE, "manifest.json", "SHA256SUMS", "postgres")
    }
    assert not (tmp_path / "b.partial").exists()


def test_a_backup_of_something_newer_is_refused(ameide: CommandLine, tmp_path: Path) -> None:
    ameide.state.root.rename(tmp_path / "away")
    for number, (field, value) in enumerate({"schema": 9999, "postgres": "19", "temporal": "1.40.0"}.items()):
        folder = made(tmp_path / str(number), dataclasses.replace(MANIFEST, **{field: value}))
        answer = ameide("restore", str(folder))
        assert (answer.code, str(value) in answer.err) == (1, True)
        assert "Restore it with ameide 0.1.0" in answer.err
    assert not ameide.state.root.exists()


def test_nothing_is_restored_onto_something(ameide: CommandLine, tmp_path: Path) -> None:
    answer = ameide("restore", str(made(tmp_path / "b")))
    assert answer.code == 1
    assert "is not empty: it holds logs, run, tokens" in answer.err
    assert "--purge" in answer.err


def test_engines_of_one_s_own_are_backed_up_by_their_owner(
    ameide: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "nothing was started" in ameide("backup", str(tmp_path / "b")).err
    monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal.example:7233")
    answer = ameide("backup", str(tmp_path / "b"))
    assert (answer.code, answer.err.startswith("error: TEMPORAL_ADDRESS")) == (1, True)
    assert not (tmp_path / "b").exists()


def test_an_interrupted_restore_is_not_started_and_is_purged(ameide: CommandLine) -> None:
    ameide.state.restoring.touch()
    (ameide.state.root / "credentials").mkdir()
    answer = ameide("up")
    assert (answer.code, "was interrupted" in answer.err) == (1, True)
    assert ameide("down", "--purge", "--yes").code == 0
    assert not ameide.state.root.exists()


def test_files_keep_their_modes_and_what_refers_comes_first(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name, mode in {"tokens/owner": 0o600, "remotes/o.git/hooks/update": 0o755, "patches/1": 0o644}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
        (root / name).chmod(mode)
    (root / "tokens").chmod(0o700)
    passing = ("refs/heads/main.lock", "objects/ab/tmp_obj_1", "objects/incoming-1/ab/c")
    for name in ("objects/pack/p", "objects/ab/c", "refs/heads/main", "refs/heads/tmp_1", "packed-refs", *passing):
        (root / "remotes/o.git" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "remotes/o.git" / name).touch()
    (root / "remotes/o.git/refs/empty").mkdir()
    os.mkfifo(root / "remotes" / "pipe")
    pack(root, ["tokens", "patches", "remotes", "absent"], tmp_path / STATE)
    with tarfile.open(tmp_path / STATE) as tar:
        names = tar.getnames()
    ordered = ("refs/heads/main", "refs/heads/tmp_1", "packed-refs", "objects/ab/c", "objects/pack/p")
    places = [names.index(f"remotes/o.git/{name}") for name in ordered]
    assert places == sorted(places)
    assert not {f"remotes/o.git/{name}" for name in passing} & set(names)
    unpack(tmp_path / STATE, tmp_path / "new")
    found = {
        path.relative_to(tmp_path / "new").as_posix(): path.stat().st_mode & 0o777
        for path in (tmp_path / "new").rglob("*")
    }
    assert "remotes/pipe" not in found
    assert (tmp_path / "new/remotes/o.git/refs/empty").is_dir()
    assert (found["tokens"], found["tokens/owner"], found["remotes/o.git/hooks/update"]) == (0o700, 0o600, 0o755)


def test_a_file_that_vanishes_meanwhile_is_looked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = tmp_path / "root" / "objects"
    (objects / "pack").mkdir(parents=True)
    loose = objects / "loose"
    loose.touch()
    below = backup_files._below  # pyright: ignore[reportPrivateUsage]

    def packed_meanwhile(folder: Path, passes: Callable[[Path], bool]):
        for path in below(folder, passes):
            if path == loose:
                (objects / "pack" / "all").touch()
                loose.unlink()
            yield path

    monkeypatch.setattr(backup_files, "_below", packed_meanwhile)
    pack(tmp_path / "root", ["objects"], tmp_path / STATE)
    with tarfile.open(tmp_path / STATE) as tar:
        assert "objects/pack/all" in tar.getnames()
        assert "objects/loose" not in tar.getnames()


def test_a_file_that_came_twice_takes_the_place_of_the_first(tmp_path: Path) -> None:
    (tmp_path / "root" / "objects").mkdir(parents=True)
    (tmp_path / "root" / "objects" / "loose").write_text("same")
    (tmp_path / "root" / "objects" / "loose").chmod(0o444)
    # As two passes leave it.
    pack(tmp_path / "root", ["objects", "objects"], tmp_path / STATE)
    unpack(tmp_path / STATE, tmp_path / "new")
    loose = tmp_path / "new" / "objects" / "loose"
    (tmp_path / "first").hardlink_to(loose)
    unpack(tmp_path / STATE, tmp_path / "new")
    # Written anew, and not into the one that may not be written.
    assert not loose.samefile(tmp_path / "first")
    assert loose.read_text() == "same"


def test_a_folder_that_lies_elsewhere_is_followed_and_other_links_are_refused(tmp_path: Path) -> None:
    root, disk = tmp_path / "root", tmp_path / "disk"
    root.mkdir()
    disk.mkdir()
    (disk / "kept").write_text("kept")
    (disk / "again").symlink_to("kept")
    (root / "objects").symlink_to(disk)
    pack(root, ["objects"], tmp_path / STATE)
    unpack(tmp_path / STATE, tmp_path / "new")
    assert not (tmp_path / "new" / "objects").is_symlink()
    assert (tmp_path / "new" / "objects" / "again").read_text() == "kept"
    for target in (disk / "kept", Path("../../kept")):
        (disk / "out").symlink_to(target)
        with pytest.raises(Refused, match=f"disk/out is a link to {target}") as refused:
            pack(root, ["objects"], tmp_path / STATE)
        assert "relative link" in refused.value.remedy
        (disk / "out").unlink()
    (root / "remotes").symlink_to(tmp_path / "unmounted")
    with pytest.raises(Refused, match="where nothing is"):
        pack(root, ["remotes"], tmp_path / STATE)
