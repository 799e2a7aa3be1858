"""The pool as it is deployed: a supervisor, an author and a verifier, each with nothing but its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ameide import config
from ameide.contracts import topics
from ameide.infra.roles import Role
from ameide.infra.runners.pool import child_environment
from ameide_core_proto.common.v1.metadata_pb import Scope
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, FailureCode, WorkKind, WorkRequest
from tests.infra.git_servers import bare_repository, http_git
from tests.infra.work_double import WorkDouble, eventually

AUTHOR_TOKEN, VERIFIER_TOKEN = "ameide_default_tok01_author4author4", "ameide_default_tok02_verifier4verif"


@pytest.fixture
def pool(address: str, state_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    codex_home = state_dir / "codex"
    codex_home.mkdir()
    provider = '[model_providers.mine]\nbase_url = "http://127.0.0.1:9/v1"\nenv_key = "MODELS_KEY"\n'
    (codex_home / "config.toml").write_text('model_provider = "mine"\n' + provider)
    environment = {
        **{name: value for name, value in os.environ.items() if name in {"PATH", "HOME"}},
        "AMEIDE_STATE_DIR": str(state_dir),
        "AMEIDE_ADDRESS": address,
        "AMEIDE_AUTHOR_TOKEN": AUTHOR_TOKEN,
        "AMEIDE_VERIFIER_TOKEN": VERIFIER_TOKEN,
        "AMEIDE_DATABASE_URL_APP": "postgresql://ameide_app:database-secret@127.0.0.1/ameide",
        "AMEIDE_PROCESS_TOKEN": "ameide_default_tok03_process4process",
        "TEMPORAL_ADDRESS": "127.0.0.1:7233",
        "CODEX_HOME": str(codex_home),
        "MODELS_KEY": "models-key-secret",
        "AMEIDE_CREDENTIAL_VARIABLES": "GIT_LOGIN",
        "GIT_LOGIN": "robot:correct-horse-battery",
        "PIP_INDEX_URL": "https://ada:index-secret@index.invalid/simple",
    }
    process = subprocess.Popen([sys.executable, str(Path(__file__).with_name("pool_process.py"))], env=environment)
    yield process
    for child in [*psutil.Process(process.pid).children(recursive=True)] if process.poll() is None else []:
        child.kill()
    process.kill()
    process.wait()


def work(queue: str, number: int) -> WorkRequest:
    """A work that can only fail: its repository is not there."""
    agent = queue == topics.QUEUE_CODER
    return WorkRequest(
        scope=Scope(tenant_id="default"),
        work_request_id=f"wrk-{number}",
        work_kind=WorkKind.AGENT_WORK if agent else WorkKind.TOOL_RUN,
        action_kind=ActionKind.PUBLISH if agent else ActionKind.VERIFY,
        queue=queue,
        coder="patches",
        repo_url="file:///nowhere/at/all.git",
        commit_sha="1" * 40,
    )


async def executors(pool: subprocess.Popen[bytes], double: WorkDouble) -> dict[str, psutil.Process]:
    """Both executors by role, once each has answered a work of its queue."""
    for number, queue in enumerate((topics.QUEUE_CODER, topics.QUEUE_VERIFY), len(double.outcomes) + 1):
        await double.offer(work(queue, number))
        await double.until(lambda number=number: f"wrk-{number}" in double.outcomes)
    children = psutil.Process(pool.pid).children()
    return {child.cmdline()[-1]: child for child in children if child.cmdline()[-1] in {"author", "verifier"}}


async def test_each_executor_holds_its_own_credentials_and_no_others(
    pool: subprocess.Popen[bytes], double: WorkDouble
) -> None:
    found = await executors(pool, double)
    for result in (outcome.result for outcome in double.outcomes.values()):
        assert result
        assert result.failure_code is FailureCode.CHECKOUT_FAILED
    own = {role: process.environ() for role, process in found.items()}
    assert own["author"]["AMEIDE_TOKEN"] == AUTHOR_TOKEN
    assert own["verifier"]["AMEIDE_TOKEN"] == VERIFIER_TOKEN
    for role, other in (("author", VERIFIER_TOKEN), ("verifier", AUTHOR_TOKEN)):
        everything = "\n".join(f"{name}={value}" for name, value in own[role].items())
        for secret in (other, "database-secret", "process4process", "TEMPORAL", "index-secret", "models-key-secret"):
            assert secret not in everything
        assert ("CODEX_HOME" in own[role]) is (role == "author")
        remote = {connection.raddr.port for connection in found[role].net_connections() if connection.raddr}
        assert remote <= {int(own[role]["AMEIDE_ADDRESS"].rpartition(":")[2])}


def test_only_who_serves_a_queue_on_kafka_is_told_of_the_brokers() -> None:
    settings = config.read(
        {
            "AMEIDE_QUEUE_TRANSPORT": "coder=kafka",
            "KAFKA_BROKERS": "broker-1:9092",
            "AMEIDE_KAFKA_SASL_PASSWORD": "broker-secret",
        }
    )
    author, verifier = (child_environment(settings, role) for role in (Role.AUTHOR, Role.VERIFIER))
    told = ("AMEIDE_QUEUE_TRANSPORT", "KAFKA_BROKERS", "AMEIDE_KAFKA_SASL_PASSWORD")
    assert [author[name] for name in told] == ["coder=kafka", "broker-1:9092", "broker-secret"]
    assert not [name for name in verifier if "KAFKA" in name or name in told]


async def test_a_credential_in_a_variable_reaches_the_git_of_an_executor_alone(
    pool: subprocess.Popen[bytes], double: WorkDouble, tmp_path: Path
) -> None:
    found = await executors(pool, double)
    assert not any("correct-horse" in value for child in found.values() for value in child.environ().values())
    bare = bare_repository(tmp_path)
    with http_git(tmp_path) as server:
        wanted = work(topics.QUEUE_VERIFY, 9)
        wanted.repo_url, wanted.credential_ref = server.of(bare), "env:GIT_LOGIN"
        await double.offer(wanted)
        await double.until(lambda: "wrk-9" in double.outcomes)
    # It got in, and found that there is no such commit.
    assert ("robot", "correct-horse-battery") in server.logins
    result = double.outcomes["wrk-9"].result
    assert result
    assert "Authentication failed" not in result.summary
    assert "correct-horse" not in result.summary


async def test_a_killed_executor_comes_back(pool: subprocess.Popen[bytes], double: WorkDouble) -> None:
    before = await executors(pool, double)
    before["verifier"].kill()
    after = await executors(pool, double)
    assert after["verifier"].pid != before["verifier"].pid
    assert after["author"].pid == before["author"].pid


async def test_executors_leave_when_their_supervisor_is_killed(
    pool: subprocess.Popen[bytes], double: WorkDouble
) -> None:
    found = await executors(pool, double)
    pool.kill()
    await eventually(lambda: not any(process.is_running() for process in found.values()))


async def test_the_pool_drains_and_ends_well(pool: subprocess.Popen[bytes], double: WorkDouble) -> None:
    found = await executors(pool, double)
    pool.terminate()
    await eventually(lambda: pool.poll() is not None)
    assert pool.returncode == 0
    assert not any(process.is_running() for process in found.values())
