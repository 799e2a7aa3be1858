"""Who looks after an installation: what is stuck is named with the command that moves it, and the command does."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from ameide.contracts import topics
from ameide.delivery.demo_remotes import create_orders_remotes, orders_patches
from tests.acceptance.installation import Installation, remove, wait_for

ALL_BUT_THE_RELAY = ("domain", "sweeper", "ingress", "projector")


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation of this module's own, since its parts are taken away; remotes lie elsewhere, as a team's do.

    Its coder needs one try.
    """
    patches = tmp_path_factory.mktemp("patches")
    tries = [file.read_text(encoding="utf-8") for file in sorted(orders_patches().iterdir())]
    (patches / "001-all.patch").write_text("".join(tries), encoding="utf-8")
    made = Installation.make(AMEIDE_LEASE_SECONDS="6", AMEIDE_PATCHES_DIR=str(patches))
    try:
        made.ameide("up")
        url, gitops = create_orders_remotes(tmp_path_factory.mktemp("forge"))
        made.ameide("repo", "add", "orders", url, "--gitops", gitops)
        yield made
    finally:
        remove(made)


@contextmanager
def served(installation: Installation, *roles: str) -> Generator[subprocess.Popen[bytes]]:
    """Some roles of the control plane in a process that somebody started by hand."""
    file = installation.state_dir / "by-hand.ready"
    command = [sys.executable, "-m", "ameide", "serve", *roles, "--ready-file", str(file)]
    settings = installation.state_dir / "run" / "control.toml"
    with subprocess.Popen(command, env={**installation.environment, "AMEIDE_CONFIG": str(settings)}) as process:
        try:
            wait_for(lambda: file.exists() or process.poll() is not None, "the roles to be ready")
            assert process.poll() is None
            yield process
        finally:
            process.terminate()


def kill(installation: Installation, name: str) -> None:
    """End a process of `ameide up` the hard way."""
    pid = installation.pid_of(name)
    process = psutil.Process(pid)
    os.kill(pid, signal.SIGKILL)
    process.wait(30)


def status(installation: Installation) -> dict[str, Any]:
    """`ameide status --json`, whatever its exit code."""
    return installation.json("status", exit_codes=(0, 1))


def stuck(installation: Installation) -> dict[str, dict[str, Any]]:
    """What is stuck, by subject."""
    return {line["subject"]: line for line in status(installation)["stuck"]}


def ended(installation: Installation, work: str) -> bool:
    """Whether a work was done."""
    return installation.json("work", "show", work)["work"]["status"] == "WORK_STATUS_SUCCEEDED"


def test_executor_relay_and_gate_are_named_with_the_verbs_that_move_them(operated: Installation) -> None:
    assert "Nothing is stuck." in operated.ameide("status")
    change = operated.start_change("orders", "A customer can cancel an order", "An open order can be cancelled")
    gate = operated.gate(change, "REQUIREMENT_STABILIZED")
    assert operated.run("status").returncode == 0, "a gate that waits for people is no failure"

    kill(operated, "executor")
    queued = operated.id_of("work", "request", "orders", who="requester")
    wait_for(lambda: bool(status(operated)["status"]["queues"]), "the invitation")
    kill(operated, "control")
    with served(operated, *ALL_BUT_THE_RELAY):
        unmoved = operated.id_of("work", "request", "orders", who="requester")
        wanted = {"relay", topics.QUEUE_VERIFY, gate["gateId"]}
        found: dict[str, dict[str, Any]] = {}

        def named() -> bool:
            found.update(stuck(operated))
            # A relay that is silent is named at once, and as behind when its messages have waited for long enough.
            return wanted <= set(found) and "behind" in found["relay"]["text"]

        wait_for(named, "all three to be named")
        done = operated.run("status")
        assert done.returncode == 1
        relay, queue, waits = (found[subject] for subject in ("relay", topics.QUEUE_VERIFY, gate["gateId"]))
        assert all(line["verb"] in done.stdout for line in (relay, queue, waits))
        assert "behind: 2 messages in the outbox; last seen" in relay["text"]
        assert "1 work waits, the oldest for" in queue["text"]
        assert f"(requirement stabilized of {change}) waits for an approver since" in waits["text"]
        assert (relay["verb"], queue["verb"]) == ("ameide up", "ameide up")

        for line in (relay, waits):
            program, *words = shlex.split(line["verb"])
            assert program == "ameide"
            operated.ameide(*words)
        for work in (queued, unmoved):
            wait_for(lambda work=work: ended(operated, work), f"{work} to be done")
        wait_for(lambda: bool(operated.works(change)), "the run to go on")
    wait_for(lambda: not [line for line in stuck(operated).values() if not line["for_people"]], "all to move again")


def test_a_token_of_somebody_else_is_found(operated: Installation) -> None:
    author, verifier = (operated.state_dir / "tokens" / name for name in ("author", "verifier"))
    former = verifier.read_text(encoding="utf-8")
    verifier.write_text(author.read_text(encoding="utf-8"), encoding="utf-8")
    try:
        done = operated.run("doctor")
    finally:
        verifier.write_text(former, encoding="utf-8")
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert done.returncode == 1
    assert [line.split("  ")[1] for line in failed] == ["tokens of this installation"]
    assert "verifier: it is the token of author" in failed[0]


def test_a_backup_goes_on_elsewhere(operated: Installation, tmp_path: Path) -> None:
    changes = [found["change"]["changeId"] for found in operated.json("change", "list")["changes"]]
    change = changes[0] if changes else operated.start_change("orders", "Orders can be cancelled", "An open one can")
    gate = operated.gate(change, "ACCEPTANCE")
    kept = tmp_path / "kept"

    killed_on_the_way(operated, kept)
    assert not kept.exists()
    half = operated.run("--state-dir", str(tmp_path / "new"), "restore", str(tmp_path / "kept.partial"))
    assert half.returncode == 1
    assert "no complete backup" in half.stderr

    said = operated.ameide("backup", str(kept))
    assert "passwords and tokens" in said
    assert not (tmp_path / "kept.partial").exists()
    assert all(path.stat().st_mode & 0o077 == 0 for path in (kept, *kept.rglob("*")))
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=kept, check=True)
    again = operated.run("backup", str(kept))
    assert (again.returncode, "is there already" in again.stderr) == (2, True)
    onto_itself = operated.run("restore", str(kept))
    assert (onto_itself.returncode, "is not empty" in onto_itself.stderr) == (1, True)

    operated.ameide("down", "--purge", "--yes")
    restored = Installation(Path(tempfile.mkdtemp(prefix="ameide-")) / "restored", operated.settings)
    restored.state_dir.parent.chmod(0o711)
    try:
        for file in ("state.tar.gz", "postgres/base.tar.gz", "manifest.json"):
            with flipped(kept / file):
                refused = restored.run("restore", str(kept))
            assert (refused.returncode, f"{file} is not what was backed up" in refused.stderr) == (1, True)
            assert not restored.state_dir.exists()
        restored.ameide("restore", str(kept))
        assert (restored.state_dir / "tokens" / "approver").stat().st_mode & 0o777 == 0o600
        assert (restored.state_dir / "objects").stat().st_mode & 0o777 == 0o700
        (restored.state_dir / "restoring").touch()
        assert "was interrupted" in restored.run("up").stderr
        (restored.state_dir / "restoring").unlink()
        restored.ameide("up")
        [waiting] = restored.open_gates(change)
        assert waiting["gateId"] == gate["gateId"]
        restored.decide(gate)
        restored.gate(change, "READY_TO_RELEASE")
        restored.ameide("evidence", "verify", "--change", change)
    finally:
        remove(restored)
        shutil.rmtree(restored.state_dir.parent, ignore_errors=True)


def killed_on_the_way(installation: Installation, target: Path) -> None:
    """A backup that is killed while it copies the databases."""
    command = [sys.executable, "-m", "ameide", "backup", str(target)]
    with subprocess.Popen(command, env=installation.environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any("Copying the databases" in line for line in process.stderr)
        process.kill()


@contextmanager
def flipped(file: Path) -> Generator[None]:
    """One bit in the middle of a file is the other one for a while."""
    whole = file.read_bytes()
    place = len(whole) // 2
    file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    yield
    file.write_bytes(whole)
