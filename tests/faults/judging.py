"""The oracle and a few looks of its kind at a whole installation, which must be up."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from ameide.engine.engine import DATABASE, Engine
from tests.acceptance.installation import ROOT, Installation, git

Row = dict[str, Any]


@dataclass(frozen=True)
class Judge:
    """Judges one installation from outside."""

    installation: Installation

    def rows(self, query: str, *parameters: object) -> list[Row]:
        """The rows of a query, read as the superuser."""
        with psycopg.connect(self._engine.postgres.address(DATABASE).conninfo) as connection:
            return connection.cursor(row_factory=dict_row).execute(query.encode(), parameters).fetchall()

    def attempts(self, work_request_id: str) -> list[Row]:
        """The attempts of a work, in order."""
        return self.rows("SELECT * FROM ameide.attempt WHERE work_request_id = %s ORDER BY attempt", work_request_id)

    def check(self) -> None:
        """Raises AssertionError with what the oracle found."""
        engine = self._engine
        rig = {
            "database_url_admin": engine.postgres.address(DATABASE).conninfo,
            "temporal_address": engine.temporal.address(),
            "temporal_namespace": "ameide",
        }
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "rig.json").write_text(json.dumps(rig), encoding="utf-8")
            code, said = consult(Path(folder))
        assert code == 0, said

    @property
    def _engine(self) -> Engine:
        folder = self.installation.state_dir
        return Engine(folder, folder, lambda _: None)


def consult(folder: Path, patience: float = 60.0) -> tuple[int, str]:
    """Exit code and words of the oracle about a run's folder, in a process of its own."""
    command = [sys.executable, "-m", "tests.faults.oracle", str(folder), "--patience", str(patience)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def check_promotions(installation: Installation, change: str, gitops: Path) -> None:
    """Each promotion is one commit on main of the gitops repository, and there are no others."""
    promotions = installation.show(change)["promotions"]
    expected = [promotion["gitopsCommitSha"] for promotion in promotions]
    first, *others = git(gitops, "log", "--reverse", "--format=%H", "main").splitlines()
    assert first
    assert others == expected
    for promotion in promotions:
        assert promotion["status"] == "PROMOTION_STATUS_HEALTHY", promotion
