"""Each deliberate violation of the architecture fails `make check`: the rules are tried, not only kept."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The sources and the rules, to break."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def break_with(copy: Path, module: str, line: str) -> None:
    path = copy / "src" / "ameide" / module
    path.write_text(path.read_text(encoding="utf-8") + f"\n{line}\n", encoding="utf-8")


def lint_imports(copy: Path) -> subprocess.CompletedProcess[str]:
    code = "import sys; sys.path.insert(0, 'src'); from importlinter.cli import lint_imports_command as c; c()"
    return subprocess.run(
        [sys.executable, "-c", code, "--no-cache"], cwd=copy, capture_output=True, text=True, check=False
    )


def check_writers(copy: Path) -> subprocess.CompletedProcess[str]:
    tool = [sys.executable, ROOT / "tools" / "check-writers", copy / "src" / "ameide"]
    return subprocess.run(tool, cwd=copy, capture_output=True, text=True, check=False)


def test_the_rules_are_kept(copy: Path) -> None:
    linted, written = lint_imports(copy), check_writers(copy)
    assert linted.returncode == 0, linted.stdout
    assert written.returncode == 0, written.stdout


@pytest.mark.parametrize(
    ("module", "line", "rule"),
    [
        ("process/workflows/governance.py", "import ameide.rpc.clients", "workflows only decide"),
        ("process/workflows/governance.py", "import ameide.process.activities", "workflows only decide"),
        ("process/workflows/governance.py", "import socket", "workflows only decide"),
        ("process/workflows/governance.py", "import psycopg", "workflows only decide"),
        ("infra/executor.py", "import ameide.events.outbox", "only the owner states facts"),
        ("infra/executor.py", "import ameide.storage.db", "SQL has its homes"),
        ("domain/decisions/gate.py", "import ameide.storage.db", "decisions and contracts are pure"),
        ("cli/__init__.py", "import temporalio", "temporalio lives in process and engine"),
        ("events/consumer.py", "import confluent_kafka", "confluent_kafka lives in its backend"),
    ],
)
def test_a_forbidden_import_fails(copy: Path, module: str, line: str, rule: str) -> None:
    break_with(copy, module, line)
    linted = lint_imports(copy)
    assert linted.returncode == 1
    assert f"{rule} BROKEN" in linted.stdout


def test_a_second_writer_of_the_log_fails(copy: Path) -> None:
    break_with(copy, "views/projector.py", 'SECOND = "INSERT INTO ameide.log (position) VALUES (1)"')
    written = check_writers(copy)
    assert written.returncode == 1
    assert "views/projector.py: writes ameide.log" in written.stdout


def test_a_second_query_that_writes_the_log_fails(copy: Path) -> None:
    break_with(copy, "storage/queries/domain.sql", "-- name: cheat\nINSERT INTO ameide.log (position) VALUES (1)")
    written = check_writers(copy)
    assert written.returncode == 1
    assert "storage/queries/domain/cheat: a second writer of ameide.log" in written.stdout


def test_an_executor_that_writes_the_outbox_by_itself_fails(copy: Path) -> None:
    break_with(copy, "infra/executor.py", 'CHEAT = "INSERT INTO ameide.outbox (id) VALUES (1)"')
    written = check_writers(copy)
    assert written.returncode == 1
    assert "infra/executor.py: writes ameide.outbox" in written.stdout
