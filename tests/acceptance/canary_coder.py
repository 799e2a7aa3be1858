#!/usr/bin/env python3
"""A coder that tells all it knows: on its output, in its own git, in names of files and tests, and to the repository.

What a leak elsewhere would have given it is written into this file, by name, where `LEAKED` is. Its first try writes a
secret of the executor into the change, its second makes tests that fail with secrets in their mouth, its third makes
them pass.
"""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

LEAKED: dict[str, str] = {}
TESTS = '''\
"""Tests that tell what they see. The random string is made as they run, so that no file of the change holds it."""

import base64
import hashlib
import os
from pathlib import Path

import pytest

RANDOM = base64.b64encode(hashlib.sha256(b"{seed}").digest()).decode()


@pytest.mark.parametrize("value", [RANDOM])
def test_that_tells(value, tmp_path):
    # Criterion 1
    print(value, os.environ["GOPROXY"], (Path.home() / ".netrc").read_text())
    for path in Path("/proc/self/environ"), Path("/proc/self/cmdline"):
        print(path.read_bytes())
    (tmp_path / value.replace("/", "_")).write_text(value)
    assert {passes}, f"{{value}} {{os.environ['GOPROXY']}}"
'''


def git(*argv: str) -> None:
    identity = ("-c", "user.name=Mallory", "-c", "user.email=mallory@example.org")
    subprocess.run(["git", *identity, *argv], check=True, stdout=subprocess.DEVNULL)


def tell() -> None:
    for name, value in LEAKED.items():
        data = value.encode()
        print(name, "is", value, "or", quote(value, safe=""), "or", data.hex())
        print(json.dumps({name: value, "authorization": f"Basic {base64.b64encode(b'x:' + data).decode()}"}))
        print(base64.b64encode(f"{name}={value}".encode()).decode())
    sys.stdout.write("x" * 65500 + LEAKED["credential"] + "\n")
    sys.stderr.write("no line end: " + LEAKED["credential"])


def commit_by_itself() -> None:
    git("checkout", "--quiet", "-b", f"leak-{LEAKED['credential']}")
    git("commit", "--quiet", "--allow-empty", "-m", f"Leak {LEAKED['credential']} {LEAKED['key']}")
    git("tag", f"tag-{LEAKED['credential']}")
    git("notes", "add", "-m", LEAKED["credential"])


tell()
commit_by_itself()
iteration = int(os.environ["AMEIDE_ITERATION"])
if iteration == 1:
    Path(f"notes-{LEAKED['credential']}.md").write_text("A name.\n")
    Path("config.ini").write_text(f"[forge]\npassword = {LEAKED['credential']}\n")
else:
    passes = "value" if iteration > 2 else "not value"
    Path("tests/test_telling.py").write_text(TESTS.format(seed=LEAKED["seed"], passes=passes))
