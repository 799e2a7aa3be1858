"""Fixtures for the tool steps: a world, and repositories to change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ameide.infra.object_store import ObjectStore
from ameide.infra.settings import OPERATOR_VARIABLES, ExecutorSettings, UnprivilegedUser
from ameide.infra.toolchain import Toolchain, prepare
from tests.tools.world import Remote, World


@pytest.fixture(scope="session")
def work_user() -> UnprivilegedUser | None:
    """Whom children run as: somebody else when we are root."""
    return UnprivilegedUser(64103, 64103) if os.geteuid() == 0 else None


@pytest.fixture(scope="session")
def toolchain(work_user: UnprivilegedUser | None) -> Toolchain:
    """Python, buf and uv as that user can execute them."""
    return prepare(work_user, print)


@pytest.fixture
def world(state_dir: Path, work_user: UnprivilegedUser | None, toolchain: Toolchain) -> World:
    store = (state_dir / "objects").as_uri()
    settings = ExecutorSettings(
        address="",
        token="",
        name="executor",
        queues=(),
        work_root=state_dir / "work",
        object_store=store,
        registry=str(state_dir / "registry"),
        forge=str(state_dir),
        python=toolchain.python,
        search_path=toolchain.search_path,
        user=work_user,
        operator_environment={name: os.environ[name] for name in OPERATOR_VARIABLES if name in os.environ},
    )
    return World(state_dir, settings, ObjectStore(store))


PROJECT = {
    "ameide.yaml": """\
version: 1
verify:
  suites:
    default:
      run: [python, -m, pytest, -q, -p, no:cacheprovider, --junitxml=report.xml]
      junit: report.xml
      timeout: 60
""",
    "calc.py": "def add(a, b):\n    return a + b\n",
    "test_calc.py": "from calc import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n    assert add(0, 0) == 0\n",
}
"""A repository whose suite needs no set-up, so that its tests are quick."""


@pytest.fixture
def project(state_dir: Path) -> Remote:
    return Remote.create(state_dir, "project", PROJECT)
