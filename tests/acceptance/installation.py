"""One installation as a person has it: a state folder, the `ameide` command, and nothing else."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from ameide.cli.root import run as run_command

ROOT = Path(__file__).parents[2]
GATE_DECIDERS = {"READY_TO_RELEASE": "releaser", "PROMOTION": "releaser"}
# Long enough for a loaded machine; nothing waits for it when the condition holds.
PATIENCE = 240.0
PAUSE = 0.25
_TRACING = ("OTEL_", "TRACEPARENT")


@dataclass
class Installation:
    """`state_dir` belongs to the test; `settings` are further variables of the environment of every command."""

    state_dir: Path
    settings: dict[str, str] = field(default_factory=dict[str, str])
    _decided: set[str] = field(default_factory=set[str])

    @classmethod
    def make(cls, **settings: str) -> Installation:
        """A fresh, empty one, in a folder that the work users may pass."""
        folder = Path(tempfile.mkdtemp(prefix="ameide-"))
        folder.chmod(0o711)
        return cls(folder, settings)

    @property
    def environment(self) -> dict[str, str]:
        """What every command is run with."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AMEIDE_")}
        if cache := os.environ.get("AMEIDE_CACHE_DIR"):
            kept["AMEIDE_CACHE_DIR"] = cache
        # Where tests hold the programs of a work, which look there from inside their sandbox.
        kept["AMEIDE_CHILD_READABLE"] = str(self.state_dir / "holds")
        return {**kept, "AMEIDE_STATE_DIR": str(self.state_dir), **self.settings}

    def run(
        self, *argv: str, who: str = "", stdin: str = "", timeout: float = PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """One command, whatever its exit code."""
        command = [sys.executable, "-m", "ameide", *(("--as", who) if who else ()), *argv]
        return subprocess.run(
            command,
            cwd=tempfile.gettempdir(),
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def ameide(self, *argv: str, who: str = "", stdin: str = "") -> str:
        """One command that must succeed; its output."""
        done = self.run(*argv, who=who, stdin=stdin)
        assert done.returncode == 0, f"ameide {' '.join(argv)} exited {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def json(self, *argv: str, who: str = "", exit_codes: Sequence[int] = (0,)) -> Any:
        """One reading command with --json, parsed, of what is there or is about to be: views follow a moment later.

        It runs in this process, untraced: a program for each look would take the cores from what the look is for.
        """
        words = [*(("--as", who) if who else ()), *argv, "--json"]
        found: tuple[int, str, str] = (0, "", "")

        def there() -> bool:
            nonlocal found
            found = self._look(words)
            return '"code": "not_found"' not in found[2]

        wait_for(there, f"ameide {' '.join(words)} to find something", PATIENCE)
        code, out, err = found
        assert code in exit_codes, f"ameide {' '.join(words)} exited {code}\n{out}\n{err}"
        return json.loads(out)

    def _look(self, words: Sequence[str]) -> tuple[int, str, str]:
        quiet = {name: value for name, value in self.environment.items() if not name.startswith(_TRACING)}
        out, err = io.StringIO(), io.StringIO()
        # A thread of its own, since the test may run in an event loop and the command brings one.
        with (
            mock.patch.dict(os.environ, quiet, clear=True),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            ThreadPoolExecutor(1) as thread,
        ):
            code = thread.submit(run_command, words).result()
        return code, out.getvalue(), err.getvalue()

    def id_of(self, *argv: str, who: str = "") -> str:
        """One command with -q: the first id that it prints."""
        return self.ameide(*argv, "-q", who=who).split()[0]

    def pid_of(self, name: str) -> int:
        """The pid of control, worker or executor."""
        return int(json.loads((self.state_dir / "run" / f"{name}.pid.json").read_text(encoding="utf-8"))["pid"])

    def start_change(self, repository: str, title: str, *criteria: str, coder: str = "") -> str:
        """Open a change and start its first run, as the requester."""
        options = [part for criterion in criteria for part in ("--criterion", criterion)]
        options += ["--coder", coder] if coder else []
        return self.id_of("change", "start", repository, "--title", title, *options, who="requester")

    def open_gates(self, change: str) -> list[dict[str, Any]]:
        """The gates of a change that wait for a decision, as views that may not know of `decide` yet show them."""
        found: list[dict[str, Any]] = self.json("gate", "list", "--change", change).get("gates", [])
        return [gate for gate in found if gate["gateId"] not in self._decided]

    def show(self, change: str) -> dict[str, Any]:
        """`change show --json`."""
        return self.json("change", "show", change)

    def run_of(self, change: str) -> dict[str, Any]:
        """The newest run of a change."""
        return self.show(change)["summary"].get("newestRun", {})

    def works(self, change: str, action: str = "", kind: str = "") -> list[dict[str, Any]]:
        """The works of a change, oldest first, of an action and a kind of work if named."""
        found = sorted(self.show(change).get("works", []), key=lambda work: work["requestedAt"])
        return [
            work
            for work in found
            if (not action or work["actionKind"] == f"ACTION_KIND_{action}")
            and (not kind or work["workKind"] == f"WORK_KIND_{kind}")
        ]

    def decide(self, gate: dict[str, Any], verb: str = "approve", comment: str = "as agreed", who: str = "") -> None:
        """Decide a gate on the hash that it shows, as a principal whom the default policy admits."""
        kind = gate["kind"].removeprefix("GATE_KIND_")
        decider = who or GATE_DECIDERS.get(kind, "approver")
        self.ameide("gate", verb, gate["gateId"], "--hash", gate["subjectHash"], "--comment", comment, who=decider)
        self._decided.add(gate["gateId"])

    def gate(self, change: str, kind: str) -> dict[str, Any]:
        """The next open gate of a kind; fails when the run ends or waits elsewhere."""
        return self.advance(change, until=kind)

    def advance(
        self, change: str, *, until: str = "", approve: Sequence[str] = (), patience: float = PATIENCE
    ) -> dict[str, Any]:
        """Approve gates until one of the kind `until` is open (it is returned), or else until the run is closed.

        Only the kinds in `approve` are approved, all when it is empty. Any other gate fails the test.
        """
        found: dict[str, Any] = {}

        def settled() -> bool:
            nonlocal found
            run = self.run_of(change)
            if run.get("status", "RUN_STATUS_OPEN") != "RUN_STATUS_OPEN":
                assert not until, f"the run ended as {run.get('outcome')} before {until}"
                found = run
                return True
            for gate in self.open_gates(change):
                kind = gate["kind"].removeprefix("GATE_KIND_")
                if kind == until:
                    found = gate
                    return True
                assert not approve or kind in approve, f"waits at {kind}, not at {until or 'the end'}: {gate}"
                assert kind not in ("NEEDS_HUMAN", "BUDGET"), f"waits at {kind}: {gate}"
                self.decide(gate)
            return False

        wait_for(settled, f"{change} to reach {until or 'its end'}", patience)
        return found


def post(installation: Installation, path: str, body: str, who: str = "owner") -> tuple[int, dict[str, Any]]:
    """Status and JSON of one call."""
    settings = tomllib.loads((installation.state_dir / "run" / "control.toml").read_text(encoding="utf-8"))
    token = (installation.state_dir / "tokens" / who).read_text(encoding="utf-8").strip() if who else ""
    request = urllib.request.Request(
        f"http://127.0.0.1:{settings['listen_port']}/{path}",
        data=body.encode(),
        headers={"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})},
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def wait_for(condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Look now and then until the condition holds."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"waited {patience:.0f} s for {what}"
        time.sleep(PAUSE)


def git(folder: Path, *argv: str) -> str:
    """Run git in a repository of the test."""
    command = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.org", "-C", str(folder), *argv]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def remove(installation: Installation) -> None:
    """Stop and delete everything of an installation."""
    installation.run("down", "--purge", "--yes")
    shutil.rmtree(installation.state_dir, ignore_errors=True)
