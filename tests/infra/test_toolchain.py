"""Programs for children: from an environment that only its owner can enter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from ameide.errors import AmeideError
from ameide.infra import toolchain
from ameide.infra.settings import UnprivilegedUser
from ameide.infra.toolchain import ToolchainUnavailable

SOURCE = Path(toolchain.__file__).parents[2]
PREPARE = """
import json, sys
from pathlib import Path
from ameide.infra.settings import UnprivilegedUser
from ameide.infra.toolchain import prepare
found = prepare(UnprivilegedUser(int(sys.argv[1]), int(sys.argv[1])), print, shared=Path(sys.argv[2]))
print(json.dumps([str(found.python), [str(folder) for folder in found.search_path]]))
"""
USER = UnprivilegedUser(64102, 64102)


@pytest.fixture
def closed_environment(state_dir: Path) -> Path:
    """A virtual environment in a folder that only its owner can enter, with a module and a console script."""
    closed = state_dir / "closed"
    closed.mkdir(mode=0o700)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", closed / "venv"], check=True)
    python = closed / "venv" / "bin" / "python"
    packages = Path(
        subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
    )
    (packages / "greeting.py").write_text("text = 'hello'\n")
    script = python.with_name("greet")
    script.write_text(f"#!{python}\nimport greeting, sys\nprint(greeting.text, sys.prefix)\n")
    script.chmod(0o755)
    return python


def test_an_interpreter_that_nobody_else_can_reach_is_copied(closed_environment: Path, state_dir: Path) -> None:
    if os.geteuid() != 0:
        # Children run as ourselves then, and can execute what we can.
        assert toolchain.prepare(None, print).python == Path(sys.executable)
        return
    done = subprocess.run(
        [closed_environment, "-c", PREPARE, "64102", state_dir / "shared"],
        env={"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    )
    python, search_path = json.loads(done.stdout.splitlines()[-1])
    assert Path(python).is_relative_to(state_dir / "shared")
    greeted = subprocess.run(
        ["sh", "-c", "greet && python -c 'import ssl, sqlite3, venv; print(ssl.OPENSSL_VERSION)'"],
        env={"PATH": ":".join(search_path)},
        user=USER.uid,
        group=USER.gid,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
    )
    assert greeted.returncode == 0, greeted.stderr
    assert greeted.stdout.startswith(f"hello {Path(python).parents[1]}\nOpenSSL")


def test_a_chosen_interpreter_that_cannot_be_executed_is_an_error_that_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(ToolchainUnavailable, match="AMEIDE_CHILD_PYTHON") as refused:
        toolchain.prepare(USER, print, python=str(tmp_path / "none"))
    assert isinstance(refused.value, AmeideError)


def test_our_own_tools_are_found_first() -> None:
    found = toolchain.prepare(None, print)
    assert found.search_path[0] == Path(sysconfig.get_path("scripts"))
