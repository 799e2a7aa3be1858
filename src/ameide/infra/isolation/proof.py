"""The proof that a sandbox holds: a canary in the very same sandbox, and a listener and a file outside of it."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ameide.infra.isolation import canary
from ameide.infra.isolation.bubblewrap import REMEDY
from ameide.infra.isolation.egress import PROXY_PORT
from ameide.infra.isolation.traffic import Traffic
from ameide.infra.settings import NO_SANDBOX, ExecutorSettings
from ameide.infra.steps import CommandResult, Profile, StepFailed
from ameide.infra.workspace import Workspace
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode

FOREIGN_HOST = "canary.ameide.invalid"
"""A name that cannot be resolved anywhere (RFC 2606)."""

_SYSTEM = ("/", "/usr", "/etc", "/var", "/root", "/home")
_SECRETS = ("/etc/shadow",)

_SOURCE = Path(canary.__file__).read_text(encoding="utf-8")

Run = Callable[[Sequence[str]], Awaitable[CommandResult]]


@dataclass(frozen=True)
class Proof:
    """What was tried and what came of it: evidence of an attempt."""

    sandbox: str
    profile: Profile
    refused: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()

    def document(self) -> str:
        """As JSON. Without a sandbox it says so, and by whose choice."""
        said: dict[str, object] = {"sandbox": self.sandbox, "profile": self.profile.value}
        if self.sandbox == NO_SANDBOX:
            said["why"] = "The operator of this executor set AMEIDE_SANDBOX=none."
        else:
            said |= {"refused": self.refused, "allowed": self.allowed, "seen_on_the_network": self.seen}
        return json.dumps(said, indent=1)


async def prove(
    workspace: Workspace, settings: ExecutorSettings, profile: Profile, name: str, traffic: Traffic, run: Run
) -> Proof:
    """Run the canary by `run`, in a sandbox whose network is told to `traffic`.

    Raises `StepFailed(SANDBOX_UNAVAILABLE)` naming each thing that was done and must not be, or was refused and must
    not be.
    """
    secret = workspace.private / "canary"
    secret.write_text(secrets.token_hex(16))
    connected = asyncio.Event()

    def connect(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        writer.close()

    listener = await asyncio.start_server(connect, "127.0.0.1", 0)
    port: int = listener.sockets[0].getsockname()[1]
    name_of = f".canary-{secrets.token_hex(8)}"
    own = [folder / name_of for folder in (workspace.tree, workspace.home, workspace.tmp, workspace.out)]
    others = [folder / name_of for folder in _outside(workspace, settings)]
    said = {
        "write": [str(path) for path in (*own, *others)],
        "read": [str(secret), *_SECRETS],
        "connect": [["127.0.0.1", port], ["192.0.2.1", 443]],
        "names": [FOREIGN_HOST],
        "proxy": ["127.0.0.1", PROXY_PORT],
        "through": f"{FOREIGN_HOST}:443",
    }
    try:
        result = await run((str(settings.python), "-I", "-S", "-c", _SOURCE, json.dumps(said)))
    finally:
        listener.close()
    # What was written where nobody else sees it, such as in the sandbox's own /tmp, did not get out.
    arrived = {f"write {path}": _taken_away(path) for path in (*own, *others)}
    tried = [(what, arrived.get(what, done)) for what, done in _tried(result)]
    must = {f"write {path}" for path in own}
    wrong = [what for what, done in tried if done != (what in must)]
    if connected.is_set():
        wrong.append("a connection from the sandbox came in")
    if wrong:
        raise StepFailed(
            FailureCode.SANDBOX_UNAVAILABLE,
            f"The sandbox does not hold. The canary found otherwise than it must be: {', '.join(wrong)}. {REMEDY}",
        )
    refused = tuple(what for what, done in tried if not done)
    allowed = tuple(what for what, done in tried if done)
    return Proof(name, profile, refused, allowed, tuple(sorted({contact.target for contact in traffic.refused()})))


def _outside(workspace: Workspace, settings: ExecutorSettings) -> list[Path]:
    """Folders of the system, and of the installation beside the workspace."""
    beside = (workspace.root, workspace.private, settings.work_root, *settings.isolation.hidden)
    return list(dict.fromkeys((*map(Path, _SYSTEM), *beside)))


def _taken_away(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:
        return False
    return True


def _tried(result: CommandResult) -> list[tuple[str, bool]]:
    try:
        return [(str(what), bool(done)) for what, done in json.loads(result.log.read_text(encoding="utf-8"))]
    except (ValueError, TypeError, OSError):
        said = result.output_tail.strip()[-600:]
        raise StepFailed(
            FailureCode.SANDBOX_UNAVAILABLE,
            f"The canary in the sandbox did not report (exit code {result.exit_code}): {said or 'no output'}. {REMEDY}",
        ) from None
