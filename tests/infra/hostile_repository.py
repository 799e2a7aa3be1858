"""A repository that holds everything that a reader must not fall for, and readers of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ameide.infra.credentials import Credentials
from ameide.infra.reading.limits import ReadingLimits
from ameide.infra.reading.plumbing import Plumbing
from ameide.infra.reading.reader import MirrorReader
from ameide_core_proto.common.v1.metadata_pb import Scope
from ameide_core_proto.transformation.governance.v1.governance_pb import Repository
from tests.infra.git_servers import git

LIMITS = ReadingLimits(mirror_bytes=64 << 20, all_bytes=256 << 20, head_seconds=0.0)
LARGE = b"needle\n" + b"x" * (3 << 20)


@dataclass
class Hostile:
    """A repository with everything in it that a reader must not fall for; `old` is the commit before its `head`."""

    folder: Path
    old: str
    head: str
    elsewhere: str

    @property
    def repository(self) -> Repository:
        """As it is registered."""
        return Repository(
            scope=Scope(tenant_id="default"),
            repository_id="orders",
            url=self.folder.as_uri(),
            default_branch="main",
        )


def made_in(parent: Path) -> Hostile:
    """It is read by many and changed by none."""
    folder = parent / "work"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "src").mkdir()
    (folder / "src" / "orders.py").write_text("def cancel(order):\n    return order.Cancel()\n\n\nLAST = 1\n")
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "-m", "Start")
    old = git(folder, "rev-parse", "HEAD")
    names = ("-rf", "--output=owned", ":(glob)**", "a\nb", "src/über.txt", "*", "HEAD")
    for name in names:
        (folder / name).write_text(f"needle in {name!r}\n")
    (folder / os.fsdecode(b"bad\xff.txt")).write_text("needle\n")
    (folder / "latin.txt").write_bytes(b"needle caf\xe9\n")
    (folder / "windows.txt").write_bytes(b"one\r\nneedle two\r\n")
    (folder / "binary.bin").write_bytes(b"needle\0\1\2")
    (folder / "large.txt").write_bytes(LARGE)
    (folder / "wide.txt").write_bytes(b"needle " + b"y" * (60 << 10) + b"\nsecond line\n")
    (folder / "model.bin").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:" + "a" * 64 + "\nsize 7\n"
    )
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "up").symlink_to("../..")
    (folder / ".lfsconfig").write_text("[lfs]\n\turl = http://192.0.2.1/\n")
    (folder / ".gitmodules").write_text('[submodule "sub"]\n\tpath = sub\n\turl = ext::sh -c touch% owned\n')
    git(folder, "add", "--all")
    (folder / ".gitattributes").write_text("*.txt filter=owned diff=owned text eol=crlf\n*.bin diff=owned text\n")
    git(folder, "add", ".gitattributes")
    git(folder, "update-index", "--add", "--cacheinfo", f"160000,{old},sub")
    git(folder, "commit", "-q", "-m", "Add all of it")
    head = git(folder, "rev-parse", "HEAD")
    # A branch that is called as a commit is, and a commit that the default branch never had.
    git(folder, "symbolic-ref", "HEAD", "refs/heads/other")
    git(folder, "update-ref", "HEAD", head)
    (folder / "secret.txt").write_text("of another branch\n")
    git(folder, "add", "secret.txt")
    git(folder, "commit", "-q", "-m", "Not merged")
    elsewhere = git(folder, "rev-parse", "HEAD")
    git(folder, "branch", old, "other")
    git(folder, "config", "uploadpack.allowAnySHA1InWant", "true")
    return Hostile(folder, old, head, elsewhere)


def reader_in(folder: Path, limits: ReadingLimits = LIMITS, **changes: str) -> MirrorReader:
    """A reader with a folder of its own."""
    return MirrorReader(folder, Credentials(folder / "credentials"), {}, Plumbing(limits=limits, **changes))


def replace_id(repository: Repository, id: str, *, url: str = "", credential_ref: str = "") -> Repository:
    """Another repository that is like it."""
    return Repository(
        scope=repository.scope,
        repository_id=id,
        url=url or repository.url,
        default_branch=repository.default_branch,
        credential_ref=credential_ref,
    )
