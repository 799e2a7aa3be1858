"""Stops a program of a run at a known place until the test has looked: it opens a pipe that the test writes.

A program waits by `cat PATH`. Which one waits is known by its command line, without asking the program.
"""

from __future__ import annotations

import os
import re
import textwrap
from contextlib import suppress
from pathlib import Path

import psutil

from ameide.delivery.demo_remotes import create_orders_remotes, example
from tests.acceptance.installation import Installation, git, wait_for

STUCK = ("GATE_KIND_NEEDS_HUMAN", "GATE_KIND_BUDGET")


class Hold:
    """A place at which whoever comes is held. `set` before it is reached, then `reached`, then `release` or `pass_by`.

    Without `set` everybody passes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writing: int | None = None
        path.parent.mkdir(exist_ok=True)
        path.parent.chmod(0o711)
        self.pass_by()

    def set(self) -> None:
        """Hold those who come from now on."""
        beside = self.path.with_suffix(".new")
        os.mkfifo(beside)
        beside.chmod(0o644)
        beside.rename(self.path)

    def reached(self, installation: Installation, change: str) -> psutil.Process:
        """Wait until somebody is held here: the `cat`, by which the program that runs it is found.

        Fails when the run ends or asks for people instead.
        """

        def held() -> bool:
            run = installation.run_of(change)
            assert run.get("status", "RUN_STATUS_OPEN") == "RUN_STATUS_OPEN", f"the run ended before {self.path}: {run}"
            stuck = [gate for gate in installation.open_gates(change) if gate["kind"] in STUCK]
            assert not stuck, f"waits for people, not at {self.path}: {stuck}"
            return self.taken()

        wait_for(held, f"{change} to reach {self.path.name}")
        [process] = self.waiting()
        return process

    def taken(self) -> bool:
        """Whether somebody is held here."""
        if self._writing is None:
            with suppress(OSError):
                self._writing = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
        return self._writing is not None

    def waiting(self) -> list[psutil.Process]:
        """The `cat`s that are held here now."""
        return [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["cat", str(self.path)]]

    def pass_by(self) -> None:
        """Let those who come from now on pass; who is held stays held."""
        beside = self.path.with_suffix(".new")
        beside.touch(0o644)
        beside.rename(self.path)

    def release(self) -> None:
        """Let everybody pass, also who is held."""
        self.pass_by()
        if self._writing is not None:
            os.close(self._writing)
            self._writing = None


def create_held_orders(folder: Path, verify: Hold) -> tuple[str, str]:
    """The remotes of the example, in which a verification is held at `verify` and then is green; their URLs."""
    urls = create_orders_remotes(folder)
    suite = f"""\
        cat {verify.path} &&
        mkdir -p .ameide &&
        echo '<testsuite><testcase classname="test_it" name="test_works"/></testsuite>' > .ameide/junit.xml
    """
    text = (example("orders") / "ameide.yaml").read_text(encoding="utf-8")
    text = re.sub(r"(?ms)^verify:.*?^build:", f"{_VERIFY}build:", text) % {"suite": textwrap.indent(suite, " " * 4)}
    clone = folder / "clone"
    git(folder, "clone", "--quiet", "orders.git", "clone")
    (clone / "ameide.yaml").write_text(text, encoding="utf-8")
    git(clone, "commit", "--quiet", "--all", "-m", "Verify where the test can hold it")
    git(clone, "push", "--quiet", "origin", "HEAD:main")
    return urls


def hold_pushes(bare: Path, hook: str, ref: str, hold: Hold) -> None:
    """Have pushes to a ref of a bare repository held by a hook: `pre-receive` before their effect, else after it."""
    script = bare / "hooks" / hook
    script.parent.mkdir(exist_ok=True)
    script.write_text(f'#!/bin/sh\nwhile read -r _ _ ref; do [ "$ref" != "{ref}" ] || cat {hold.path}; done\n')
    script.chmod(0o755)
    # Said here, since the executor's git has hooks switched off and a remote on this machine would go by that.
    git(bare, "config", "core.hooksPath", str(script.parent))


_VERIFY = """\
verify:
  suites:
    default:
      run:
        - sh
        - -c
        - |
%(suite)s
      junit: .ameide/junit.xml
      timeout: 300

"""
