"""Becomes a container: ``python -I -S container.py SPEC`` with a root, a process tree and a user of its own.

The file SPEC is JSON: ``root`` (a folder), ``mounts`` (``source``, ``target`` inside, ``read_only``), ``user``,
``group``, ``hostname``, ``folder``, ``env`` and ``argv``. The root is read-only, capabilities are gone and cannot be
gained, the program is process 1, and all of the container ends with it, or with who started us. The network is this
machine's. Exits as the program does. As another user than root it needs the right to make user namespaces.

It imports nothing of ours, since it is loaded for every container.
"""

import ctypes
import json
import os
import signal
import sys
from types import FrameType
from typing import Any

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID = (
    0x00020000,
    0x04000000,
    0x08000000,
    0x10000000,
    0x20000000,
)
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 0x1, 0x20, 0x1000, 0x4000, 0x40000
KEPT = 0x2 | 0x4 | 0x8  # nosuid, nodev, noexec: a remount must not lose what the source has
MNT_DETACH, SYS_PIVOT_ROOT = 0x2, {"x86_64": 155, "aarch64": 41}
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP = 1, 38, 24
LIBC = ctypes.CDLL(None, use_errno=True)


def call(what: str, *arguments: object) -> None:
    """A function of the C library that must not fail."""
    if getattr(LIBC, what)(*arguments) == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str, flags: int) -> None:
    """mount(2)."""
    call("mount", source.encode(), target.encode(), kind.encode() or None, flags, None)


def unshare(user: int, group: int) -> None:
    """The next process begins a process tree; without root, as the container's user from its point of view."""
    if os.geteuid() == 0:
        call("unshare", CLONE_NEWPID)
        return
    uid, gid = os.getuid(), os.getgid()
    call("unshare", CLONE_NEWPID | CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("gid_map", f"{group} {gid} 1"), ("uid_map", f"{user} {uid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def make_root(root: str, mounts: list[dict[str, Any]]) -> None:
    """Make `root` with the mounts the root of this mount namespace, and nothing else reachable."""
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    mount(root, root, "", MS_BIND | MS_REC)
    mount("proc", f"{root}/proc", "proc", 0)
    for one in mounts:
        target = root + one["target"]
        make_place(target, os.path.isdir(one["source"]))
        mount(one["source"], target, "", MS_BIND | MS_REC)
        if one["read_only"]:
            make_read_only(target)
    make_read_only(root)
    os.chdir(root)
    if LIBC.syscall(SYS_PIVOT_ROOT[os.uname().machine], b".", b".") == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"pivot_root: {os.strerror(number)}")
    call("umount2", b".", MNT_DETACH)


def make_place(path: str, folder: bool) -> None:
    """What is mounted needs a place, in the image or in a volume that is mounted already."""
    os.makedirs(path if folder else os.path.dirname(path), exist_ok=True)
    if not folder and not os.path.exists(path):
        open(path, "w").close()


def make_read_only(path: str) -> None:
    """A bind mount becomes read-only by mounting it again."""
    mount("none", path, "", MS_BIND | MS_REMOUNT | MS_RDONLY | (os.statvfs(path).f_flag & KEPT))


def give_up_rights(user: int, group: int) -> None:
    """Be the user, with no capability and no way to one, and end with who started us."""
    if os.geteuid() == 0:
        os.setgroups([group])
        os.setgid(group)
        for capability in range(64):
            if LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == -1:
                break
        os.setuid(user)
    call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        spec: dict[str, Any] = json.load(file)
    call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    unshare(spec["user"], spec["group"])
    child = os.fork()
    if child == 0:
        call("unshare", CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC)
        call("sethostname", spec["hostname"].encode(), len(spec["hostname"]))
        make_root(spec["root"], spec["mounts"])
        give_up_rights(spec["user"], spec["group"])
        os.chdir(spec["folder"])
        try:
            os.execvpe(spec["argv"][0], spec["argv"], spec["env"])
        except OSError as error:
            print(f"{spec['argv'][0]}: {error.strerror}", file=sys.stderr)
            os._exit(127)
    with open(f"{sys.argv[1]}.pid", "w") as file:
        file.write(str(child))

    def pass_on(number: int, frame: FrameType | None) -> None:
        os.kill(child, number)

    signal.signal(signal.SIGTERM, pass_on)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
