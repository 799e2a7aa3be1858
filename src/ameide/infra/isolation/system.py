"""What a sandbox shows of the machine: the system and the children's programs, read-only, and files made for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ameide.engine.account import Account
from ameide.infra.isolation import stage
from ameide.infra.settings import ExecutorSettings, UnprivilegedUser
from ameide.infra.workspace import Workspace

SYSTEM = (Path("/usr"), Path("/opt"))
_TOP = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_ETC = (
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "crypto-policies",
    "debian_version",
    "fonts",
    "host.conf",
    "java*",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "locale.alias",
    "magic",
    "maven",
    "mime.types",
    "os-release",
    "perl",
    "pki",
    "protocols",
    "python3*",
    "services",
    "ssl",
    "terminfo",
    "timezone",
)
# They may name an index with a password in it, so that the coder does not get them.
_OF_VERIFY = ("gitconfig", "npmrc", "pip.conf", "uv", "xdg/pip")
NAMESERVER = "192.0.2.53"
"""Nobody is there; that a name was looked up is seen, and refused at once."""


def top() -> Iterator[tuple[str, ...]]:
    """The arguments that make ``/bin``, ``/lib`` and so on what they are on this machine."""
    for name in _TOP:
        path = Path("/", name)
        if path.is_symlink():
            yield "--symlink", str(path.readlink()), str(path)
        elif path.is_dir():
            yield "--ro-bind", str(path), str(path)


def readable(settings: ExecutorSettings, *, verify: bool) -> list[Path]:
    """Everything of the machine that a child may read; paths that are there and that its user can reach."""
    found = [*SYSTEM, *_etc(_ETC), *_programs(settings), *settings.isolation.readable]
    if verify:
        found += [*_etc(_OF_VERIFY), *_named(settings.operator_environment)]
    return [path for path in dict.fromkeys(found) if path.exists() and reachable(path, settings.user)]


def hidden_in(shown: Iterable[Path], hidden: Iterable[Path]) -> list[Path]:
    """Where the hidden folders lie within what is shown, also when links on the way give one place two names."""
    found: list[Path] = []
    for path, one in product(hidden, shown):
        for place, above in ((path, one), (path.resolve(), one.resolve())):
            if place.is_relative_to(above):
                found.append(one / place.relative_to(above))
    return list(dict.fromkeys(found))


def reachable(path: Path, user: UnprivilegedUser | None) -> bool:
    """Whether the children's user gets to a path by the folders above it."""
    return user is None or Account(user.uid, user.gid).can_reach(path)


def _etc(names: Iterable[str]) -> Iterator[Path]:
    for name in names:
        yield from Path("/etc").glob(name)


def _programs(settings: ExecutorSettings) -> Iterator[Path]:
    """The interpreter and the folders of programs, with what they are links to."""
    prefix, base = settings.python.parent.parent, settings.python.resolve().parent.parent
    yield from (prefix, base)
    for library in prefix.glob("lib/python*/site-packages"):
        if library.is_symlink():
            yield library.resolve()
    for folder in settings.search_path:
        if folder.is_dir() and not _of_system(folder):
            yield folder
            yield from (entry.resolve() for entry in folder.iterdir() if entry.is_symlink())


def _named(operator: Mapping[str, str]) -> Iterator[Path]:
    """Files and folders that the operator's variables name, such as certificates and a folder of wheels."""
    for value in operator.values():
        for word in (value, *value.split()):
            url = urlsplit(word)
            if url.scheme in ("", "file") and url.path.startswith("/"):
                yield Path(unquote(url.path))


def _of_system(path: Path) -> bool:
    return any(path.resolve().is_relative_to(folder) for folder in SYSTEM)


def furnish(workspace: Workspace) -> list[tuple[Path, str]]:
    """Write the files that are made for the sandbox, once a workspace: each with its place inside."""
    box = workspace.box
    uid, gid = (workspace.user.uid, workspace.user.gid) if workspace.user else (os.getuid(), os.getgid())
    users = {0: "root", 65534: "nobody"} | {uid: f"ameide-{uid}" if uid else "root"}
    groups = {0: "root", 65534: "nogroup"} | {gid: f"ameide-{gid}" if gid else "root"}
    texts = {
        "passwd": "".join(f"{name}:x:{one}:{gid}::{workspace.home}:/bin/sh\n" for one, name in users.items()),
        "group": "".join(f"{name}:x:{one}:\n" for one, name in groups.items()),
        "hosts": "127.0.0.1 localhost ameide\n::1 localhost ip6-localhost\n",
        "hostname": "ameide\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
        "resolv.conf": f"nameserver {NAMESERVER}\noptions timeout:1 attempts:1\n",
    }
    if not box.exists():
        box.mkdir(mode=0o755)
        box.chmod(0o755)
        for name, text in texts.items():
            (box / name).write_text(text)
            (box / name).chmod(0o644)
        shutil.copyfile(stage.__file__, box / "stage.py")
        (box / "stage.py").chmod(0o644)
    return [(box / name, f"/etc/{name}") for name in texts]
