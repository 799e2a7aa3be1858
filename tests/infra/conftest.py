"""Fixtures for the execution side: the Work double behind a door, and executors in this and in other processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from ameide.infra.executor import Executor
from ameide.infra.object_store import ObjectStore
from ameide.infra.settings import ExecutorSettings, UnprivilegedUser
from ameide.rpc.clients import Clients
from tests.infra.codex_world import CodexWorld
from tests.infra.executor_process import STEPS, settings_from
from tests.infra.test_coding import Remote
from tests.infra.work_double import QUEUE, WorkDouble, serving

TOKEN = "ameide_default_tok01_0123456789abcdefghij"


@pytest.fixture
def work_user() -> UnprivilegedUser | None:
    """Whom children run as: somebody else when we are root."""
    return UnprivilegedUser(64102, 64102) if os.geteuid() == 0 else None


@pytest.fixture
async def double() -> WorkDouble:
    return WorkDouble()


@pytest.fixture
async def address(double: WorkDouble) -> AsyncIterator[str]:
    async with serving(double) as url:
        yield url


@pytest.fixture
def said(address: str, state_dir: Path, work_user: UnprivilegedUser | None) -> dict[str, str]:
    """What an executor is told."""
    return {
        "address": address,
        "token": TOKEN,
        "queue": QUEUE,
        "work_root": str(state_dir / "work"),
        "object_store": (state_dir / "objects").as_uri(),
        "uid": str(work_user.uid) if work_user else "",
    }


@pytest.fixture
def settings(said: dict[str, str], work_user: UnprivilegedUser | None) -> ExecutorSettings:
    return settings_from(said, work_user)


@pytest.fixture
def store(settings: ExecutorSettings) -> ObjectStore:
    return ObjectStore(settings.object_store)


@pytest.fixture
async def executor(settings: ExecutorSettings, store: ObjectStore) -> AsyncIterator[Executor]:
    """An executor in this process; `run_once` takes one work."""
    async with Clients(settings.address, settings.token) as clients:
        yield Executor(settings, STEPS, clients, store)


@pytest.fixture
def world(double: WorkDouble, settings: ExecutorSettings, store: ObjectStore, state_dir: Path) -> CodexWorld:
    """For the tests of the coder `codex`."""
    folder = state_dir / "remotes"
    folder.mkdir()
    return CodexWorld(double, settings, store, Remote(folder))


@pytest.fixture
def executor_argv(said: dict[str, str]) -> list[str]:
    """How an executor process is started."""
    return [sys.executable, str(Path(__file__).with_name("executor_process.py")), json.dumps(said)]


@pytest.fixture
def start_executor(executor_argv: list[str]) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts real executor processes, which are ended after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(executor_argv))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
