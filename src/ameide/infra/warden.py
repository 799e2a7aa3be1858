"""The warden: a small program between the executor and one child, which leaves no process of that child behind.

It is run by its path with the executor's own interpreter and imports nothing of ours, so that it starts in
milliseconds. As a child subreaper it inherits every descendant that detaches itself, also one that forked twice and
opened a session of its own. It ends all of them when the child ends, when it is told to, or when the control pipe
closes because the executor died.

Control (stdin, JSON lines): first the order ``{"argv", "cwd", "env", "stdin", "uid", "gid", "limits", "descriptors",
"confined"}``, then any line means "end it". Report (the file descriptor in ``argv[1]``, JSON lines):
``{"pid"}`` once started, then ``{"exit_code", "ended", "reaped"}`` or ``{"error"}``. The child's
output is the warden's own stdout.
"""

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import sys
import time
from typing import TypedDict

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38


class Order(TypedDict):
    """What to run.

    `uid` and `gid` None keep ours; `stdin` is a file, empty for none; `limits` maps names of `resource` to bounds;
    `descriptors` go on to the child alone; `confined` says that it makes a process namespace, in which its own begin.
    """

    argv: list[str]
    cwd: str
    env: dict[str, str]
    stdin: str
    uid: int | None
    gid: int | None
    limits: dict[str, int]
    descriptors: list[int]
    confined: bool


def prctl(option: int, value: int) -> None:
    """Set a process attribute; other systems than Linux have none and keep the process group as their only tie."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def descendants(root: int) -> list[int]:
    """Every living process below `root`, from /proc (empty where there is no /proc)."""
    parents: dict[int, list[int]] = {}
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdigit():
                with contextlib.suppress(OSError, IndexError, ValueError), open(f"/proc/{name}/stat", "rb") as stat:
                    fields = stat.read().rpartition(b")")[2].split()
                    # A process whose first thread has ended counts as a zombie while its other threads run on.
                    if fields[0] != b"Z" or int(fields[17]) > 1:
                        parents.setdefault(int(fields[1]), []).append(int(name))
    found: list[int] = []
    pending = [root]
    while pending:
        below = parents.get(pending.pop(), [])
        found += below
        pending += below
    return found


def of_the_work(pid: int) -> bool:
    """Whether a descendant lives in the process namespace of a sandbox and is not what made that: its first process."""
    with contextlib.suppress(OSError, IndexError), open(f"/proc/{pid}/status", "rb") as status:
        ids = status.read().partition(b"\nNSpid:")[2].split(b"\n")[0].split()
        return len(ids) > 1 and ids[1] != b"1"
    return False


def end_all(group: int, *, confined: bool = False) -> list[int]:
    """Kill the process group and all that descends from us until nothing is left; the pids in the order met.

    Nothing is left when we have no child: as the subreaper we are the next parent of whatever loses its own. With
    `confined`, the processes that make up the sandbox are no news.
    """
    met: list[int] = []
    while True:
        alive = descendants(os.getpid())
        met += [pid for pid in alive if pid not in met and (not confined or of_the_work(pid))]
        # Stopped first, so that none forks while the others are being killed.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            with contextlib.suppress(OSError):
                os.killpg(group, number)
            for pid in alive:
                with contextlib.suppress(OSError):
                    os.kill(pid, number)
        if not _kill_and_reap():
            return met


def _kill_and_reap() -> bool:
    """Kill our own children as fast as we can for a moment; False when none is left.

    One that forks and exits over and over is never there any more when a walk through /proc comes to it.
    """
    for _ in range(500):
        with contextlib.suppress(OSError), open("/proc/thread-self/children", "rb") as children:
            for pid in children.read().split():
                with contextlib.suppress(OSError):
                    os.kill(int(pid), signal.SIGKILL)
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.001)
        except ChildProcessError:
            return False
    return True


def become(order: Order) -> None:
    """In the forked child: leave the session, set the limits, drop every right, and turn into the program."""
    os.setsid()
    os.dup2(os.open(order["stdin"] or os.devnull, os.O_RDONLY), 0)
    os.dup2(1, 2)
    for name, value in order["limits"].items():
        number = getattr(resource, name)
        hard = resource.getrlimit(number)[1]
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(number, (bound, bound))
    uid, gid = order["uid"], order["gid"]
    if uid is not None and gid is not None:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.umask(0o022)
    # When memory runs out, whatever comes of a work goes before the executor and its neighbours.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGPIPE, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    os.chdir(order["cwd"])
    os.execvpe(order["argv"][0], order["argv"], order["env"])  # noqa: S606 without a shell is what we want


def start(order: Order) -> int:
    """Fork and exec; the child's pid. Raises `OSError` with the reason when the program cannot be started."""
    # Both ends close on exec: reading nothing means that the program runs.
    failed, failing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            become(order)
        except BaseException as error:
            os.write(failing, f"{type(error).__name__}: {error}".encode())
        os._exit(127)
    os.close(failing)
    for descriptor in order["descriptors"]:
        os.close(descriptor)
    reason = os.read(failed, 4096).decode(errors="replace")
    os.close(failed)
    if reason:
        os.waitpid(child, 0)
        raise OSError(reason)
    return child


def ended(child: int) -> int | None:
    """The exit code of the child (negative.

    Its signal), None while it runs. It stays a zombie, so its pid stays its own.
    """
    state = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if state is None:
        return None
    return state.si_status if state.si_code == os.CLD_EXITED else -state.si_status


def watch(child: int, control: int, woken: int) -> int | None:
    """Wait until the child ends or the control pipe speaks or closes; the exit code, None when it is to be ended."""
    while (code := ended(child)) is None:
        ready, _, _ = select.select([control, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
        if control in ready:
            return ended(child)
    return code


def noticed(_number: int, _frame: object) -> None:
    """SIGCHLD only has to wake `select`; the wake-up descriptor does that."""


def main() -> int:
    """Run the ordered child to its end, or end it when told to."""
    report = int(sys.argv[1])
    os.set_inheritable(report, False)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, noticed)

    def tell(**line: object) -> None:
        # The executor may be gone, which changes nothing.
        with contextlib.suppress(OSError):
            os.write(report, json.dumps(line).encode() + b"\n")

    received = b""
    while not received.endswith(b"\n"):
        if not (part := os.read(0, 65536)):
            return 1
        received += part
    order: Order = json.loads(received)
    try:
        child = start(order)
    except OSError as error:
        tell(error=str(error))
        return 0
    tell(pid=child)
    code = watch(child, 0, woken)
    reaped = end_all(child, confined=order["confined"])
    tell(exit_code=-signal.SIGKILL if code is None else code, ended=code is None, reaped=reaped)
    return 0


if __name__ == "__main__":
    sys.exit(main())
