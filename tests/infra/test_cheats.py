"""The corpus of cheating coders: none gets out, each is named for what it did, none is a change that merges unseen."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ameide.infra import workspace as workspaces
from ameide.infra.isolation.telling import NETWORK, SANDBOX
from ameide.infra.object_store import ObjectStore
from ameide.infra.settings import Isolation
from ameide_core_proto.transformation.work.v1.command_service_pb import RecordWorkOutcomeRequest
from ameide_core_proto.transformation.work.v1.work_pb import FindingClass, PathRules
from tests.infra.cheats import CHEATS, DONE, Cheat
from tests.infra.processes import processes_of
from tests.infra.test_coding import BRANCH, Bench, Remote, agent_work, bench, git, remote

__all__ = ["bench", "remote"]

SECRET = "planted-secret-0123456789"
TIGHT = Isolation(processes=60, output_mb=2, memory_mb=150, disk_mb=64)


@dataclass(frozen=True)
class Outside:
    """What lies and runs beside the cheat, and must be as it was afterwards."""

    folder: Path
    other: workspaces.Workspace
    listeners: tuple[socket.socket, ...]
    victim: subprocess.Popen[bytes]
    abstract: str

    def variables(self, bench: Bench, remote: Remote) -> dict[str, str]:
        return {
            "OUTSIDE": str(self.folder),
            "OTHER": str(self.other.root),
            "STATE": str(bench.settings.work_root.parent),
            "PORT": str(self.listeners[0].getsockname()[1]),
            "ABSTRACT": self.abstract,
            "VICTIM": str(self.victim.pid),
            "TOKEN": bench.settings.token,
            "REMOTE": str(remote.folder),
        }

    def check(self) -> None:
        """Nothing was written, nobody came in, nobody was killed."""
        assert {file.name: file.read_text() for file in self.folder.iterdir()} == {"secret": SECRET}
        assert (self.other.tree / "orders.py").read_text() == SECRET
        for listener in self.listeners:
            with pytest.raises(BlockingIOError):
                listener.accept()
        assert self.victim.poll() is None


@pytest.fixture
def outside(bench: Bench, state_dir: Path) -> Iterator[Outside]:
    folder, user = state_dir / "outside", bench.settings.user
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "secret").write_text(SECRET)
    (folder / "secret").chmod(0o644)
    (state_dir / "tokens").mkdir()
    (state_dir / "tokens" / "author").write_text(SECRET)
    (state_dir / "tokens" / "author").chmod(0o644)
    other = workspaces.create(bench.settings.work_root, "wrk-other", user)
    (other.tree / "orders.py").write_text(SECRET)
    other.give_to_child()
    loopback, abstract = socket.socket(), socket.socket(socket.AF_UNIX)
    loopback.bind(("127.0.0.1", 0))
    name = f"ameide-cheats-{os.getpid()}"
    abstract.bind(f"\0{name}")
    for listener in (loopback, abstract):
        listener.listen()
        listener.setblocking(False)
    victim = subprocess.Popen(
        ["/usr/bin/sleep", "600"],
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=[] if user else None,
    )
    yield Outside(folder, other, (loopback, abstract), victim, name)
    victim.kill()
    victim.wait()
    loopback.close()
    abstract.close()


@pytest.mark.parametrize("cheat", CHEATS, ids=[cheat.name for cheat in CHEATS])
async def test_a_cheat_is_named_and_gets_nowhere(bench: Bench, remote: Remote, outside: Outside, cheat: Cheat) -> None:
    bench.settings = replace(bench.settings, isolation=TIGHT)
    before = git(remote.folder, "rev-parse", "main")
    given = "".join(
        f"{name}={shlex.quote(value)}; export {name}\n" for name, value in outside.variables(bench, remote).items()
    )
    work = agent_work(remote)
    work.path_rules = PathRules(denied=["ameide.yaml", ".github/**", "CODEOWNERS"])
    outcome = await bench.run(work, script=given + cheat.script)

    result = outcome.result
    assert result
    assert result.failure_code is cheat.code, result.summary
    outside.check()
    assert processes_of(bench.settings.work_root, "wrk-1") == set()
    texts = await evidence_of(outcome, bench.store)
    assert SECRET not in "".join(texts.values()) + str(result)
    assert bench.settings.token not in "".join(texts.values()) + str(result)
    assert '"refused"' in texts[SANDBOX]
    found = {finding.id: finding for finding in result.findings}
    assert cheat.named in found or cheat.named in result.summary or cheat.named in texts["work.log"], result

    # What it pushed is what the executor made of its tree, on its branch alone, and a person sees what else it did.
    refs = git(remote.folder, "for-each-ref", "--format=%(refname)").split()
    assert refs == ([f"refs/heads/{BRANCH}", "refs/heads/main"] if cheat.code is DONE else ["refs/heads/main"])
    assert git(remote.folder, "rev-parse", "main") == before
    if cheat.code is DONE:
        assert "c2VjcmV0" not in git(remote.folder, "log", "--format=%an %ae %B", BRANCH)
        assert git(remote.folder, "rev-parse", f"{BRANCH}~1") == before
        if cheat.named in found:
            assert found[cheat.named].class_ is FindingClass.POLICY_VIOLATION
    if cheat.named.startswith("network:"):
        assert cheat.named.removeprefix("network:") in texts[NETWORK]


async def evidence_of(outcome: RecordWorkOutcomeRequest, store: ObjectStore) -> dict[str, str]:
    """The text of every artifact, by name."""
    assert outcome.evidence
    return {one.name: (await store.get(one.uri)).decode("utf-8", "replace") for one in outcome.evidence.artifacts}


def test_the_corpus_is_large() -> None:
    assert len({cheat.name for cheat in CHEATS}) >= 24
    assert sys.platform == "linux", "The sandbox is Linux's; elsewhere work is refused."
