"""What a change does to the machinery that judges it is named; what it does not, is not."""

from dataclasses import dataclass

import pytest

from ameide.infra.repo_config import RepoConfig, Suite
from ameide.infra.tools import STEPS
from ameide.infra.tools.tampering import tampering
from ameide.infra.tools.weakened_tests import weakened
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind
from tests.tools.conftest import PROJECT
from tests.tools.world import Remote, World

SUITE = Suite("default", ("python", "-m", "pytest", "--junitxml=.ameide/junit.xml"), ".ameide/junit.xml")
CONFIG = RepoConfig({"default": SUITE}, setup=(("sh", "tools/prepare.sh"), ("pip", "install", "-r", "needed.in")))
TESTS = "tests/test_store.py"
BASE = {
    "tools/prepare.sh": "true\n",
    "needed.in": "pytest\n",
    "tests/expected.json": "{}\n",
    "app/__init__.py": "",
    "app/store.py": "import json\n\nlimit = 3\n",
    TESTS: "import app.store\n\nLIMIT = 3\n\n\ndef test_limit():\n    assert app.store.limit == LIMIT\n",
}


@dataclass
class Files:
    """A tree in memory."""

    content: dict[str, str]

    async def paths(self) -> list[str]:
        return sorted(self.content)

    async def read(self, path: str) -> bytes | None:
        return self.content[path].encode() if path in self.content else None


async def locations(files: dict[str, str]) -> list[str]:
    """Where findings point after these files were written over the base."""
    base, head = Files(BASE), Files({**BASE, **files})
    changed = {path: "M" if path in BASE else "A" for path in files}
    found = [*await weakened(base, head, changed, SUITE, []), *await tampering(base, head, changed, SUITE, CONFIG)]
    return sorted({finding.location for finding in found})


@pytest.mark.parametrize(
    "path",
    [
        "conftest.py",
        "deep/down/conftest.py",
        "pytest.ini",
        "setup.py",
        "requirements/test.txt",
        "requirements-dev.txt",
        "needed.in",
        "tools/prepare.sh",
        "src/evil.pth",
        "app/__pycache__/store.cpython-311.pyc",
        ".ameide/venv/lib/python3.11/site-packages/a.py",
        "pytest.py",
        "src/json/__init__.py",
        "_pytest/__init__.py",
    ],
)
async def test_files_that_decide_how_tests_run_are_named(path: str) -> None:
    assert await locations({path: "# nothing\n"}) == [path]


@pytest.mark.parametrize(
    "source",
    [
        "import sys\nsys.modules['x'] = 1\n",
        "from sys import modules\n",
        "import _pytest.reports\n",
        "import unittest.mock\n",
        "from importlib import import_module\n",
        "import os\nos._exit(0)\n",
        "__import__('json')\n",
        "import json\njson.dumps = repr\n",
        "import json\ngetattr(json, 'du' + 'mps')\n",
        "open('tests/test_store.py', 'w')\n",
        "import json\nsetattr(json, 'dumps', repr)\n",
        "open('.ameide/junit.xml', 'w')\n",
        "def pytest_runtest_makereport(): ...\n",
    ],
)
async def test_source_that_newly_reaches_beyond_itself_is_named(source: str) -> None:
    assert await locations({"app/store.py": BASE["app/store.py"] + source}) == ["app/store.py"]


@pytest.mark.parametrize(
    "test",
    [
        BASE[TESTS].replace("== LIMIT", "or True"),
        BASE[TESTS].replace("    assert", "    return\n    assert"),
        BASE[TESTS].replace("LIMIT = 3", "LIMIT = app.store.limit"),
        BASE[TESTS] + "\n\napp.store.limit = 3\n",
        BASE[TESTS] + "\n\ntest_limit.__test__ = False\n",
        BASE[TESTS] + "\n\ndel test_limit\n",
    ],
)
async def test_an_existing_test_that_is_touched_is_named(test: str) -> None:
    assert await locations({TESTS: test}) == [TESTS]


async def test_what_tests_read_is_named() -> None:
    assert await locations({"tests/expected.json": "{1}\n"}) == ["tests/expected.json"]


async def test_a_test_that_is_rewritten_while_the_suite_runs_is_named(world: World, project: Remote) -> None:
    base = project.head()
    writing = "import pathlib\n\npathlib.Path('test_calc.py').write_text('def test_add(): pass')\n"
    commit = project.commit({"calc.py": PROJECT["calc.py"] + writing})
    work = world.work(ActionKind.VERIFY, project, commit=commit, base=base)
    result = await world.run(STEPS[ActionKind.VERIFY], work)
    assert "rewritten:test_calc.py" in [found.id for found in result.findings]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("app/store.py", 'import json\n\nlimit = 4  # "pytest" says so\n'),
        ("app/store.py", 'def f(order):\n    """Tested with pytest."""\n    order.status = 1\n'),
        ("app/store.py", "import os\n\nhome = getattr(os, 'name', '')\n"),
        ("app/json.py", "x = 1\n"),
        (
            "tests/test_more.py",
            "import pytest\n\n\ndef test_more():\n    with pytest.raises(KeyError):\n        {}[1]\n",
        ),
        (TESTS, BASE[TESTS] + "\n\ndef test_more():\n    assert True\n"),
        ("README.md", "text\n"),
        ("docs/requirements/chg-1.md", "text\n"),
    ],
)
async def test_honest_work_is_not(path: str, source: str) -> None:
    assert await locations({path: source}) == []
