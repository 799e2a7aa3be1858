"""The benchmarks run: one short round of those that need PostgreSQL alone, on the server of the session."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from ameide.engine.engine import Engine
from ameide.engine.postgres import PostgresAddress
from ameide.storage.migrate import ensure_roles
from benchmarks import pick_up, relay, request_work
from benchmarks.command import keep
from benchmarks.installation import Cluster
from benchmarks.protocol import Plan, Row, compare
from benchmarks.report import stored, table
from tests.conftest import role_passwords

SHORT = Plan(seconds=0.2, rounds=1, scale=0.01)


@pytest.fixture
async def cluster(session_engine: Engine, postgres_server: PostgresAddress, tmp_path: Path) -> AsyncGenerator[Cluster]:
    """The session's server, for benchmarks: they give its roles other passwords, which are taken back."""
    yield Cluster(tmp_path, postgres_server, session_engine.postgres.cluster().programs)
    await ensure_roles(postgres_server.conninfo, role_passwords())


async def test_the_relay_and_its_comparator_move_rows(cluster: Cluster) -> None:
    (row,) = await relay.bench(cluster, SHORT)
    assert row.a > 0
    assert row.b > 0
    assert row.counters["wal_bytes"] > 0


async def test_the_service_and_pgbench_run_the_same_transaction(cluster: Cluster) -> None:
    (row,) = await request_work.bench(cluster, SHORT)
    assert row.a > 0
    assert row.b > 0


async def test_jobs_are_picked_up(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    none: list[str] = []
    monkeypatch.setattr(pick_up, "installed_peers", lambda: none)
    assert await pick_up.bench(cluster, SHORT) == none


def test_a_result_is_kept_and_told(tmp_path: Path) -> None:
    row = compare("a thing", "a limit", [(2.0, 2.0), (3.0, 1.0)], [(4.0, 4.0), (4.0, 4.0)], reach=0.6, aim=1.0)
    assert (row.ratio, row.low, row.high, row.disturbed, row.reached) == (0.5, 0.5, 0.5, 1, False)
    keep("thing", [row], SHORT, tmp_path / "results")
    assert stored(["thing", "another"], tmp_path / "results") == [row]
    assert json.loads((tmp_path / "results" / "thing.json").read_text())["rounds"] == 1
    found: list[Row] = [row]
    assert "| a thing | a limit | 0.50x (missed) | 0.50 to 0.50 | ≥ 0.6x |" in table(found)
