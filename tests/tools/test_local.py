"""`ameide scaffold | generate | verify` in a person's folder, and repositories that nobody prepared."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from ameide.delivery.demo_remotes import example
from ameide.infra.tools import STEPS
from ameide.infra.tools.local import LocalReport, Verb, run_locally
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind
from tests.tools.conftest import PROJECT
from tests.tools.world import Remote, World, git


async def locally(verb: Verb, folder: Path, requirement: Path | None = None) -> LocalReport:
    return await run_locally(verb, folder, environment=os.environ, say=lambda _line: None, requirement=requirement)


def project(folder: Path, **changes: str) -> Path:
    for path, text in {**PROJECT, **{name.replace("__", "."): text for name, text in changes.items()}}.items():
        (folder / path).write_text(text.replace("[python,", f"[{sys.executable},"))
    return folder


async def test_green_red_and_bad_configuration_have_their_exit_codes(tmp_path: Path) -> None:
    green = await locally(Verb.VERIFY, project(tmp_path))
    assert (green.exit_code, green.as_json()["ok"]) == (0, True)
    red = await locally(Verb.VERIFY, project(tmp_path, calc__py="def add(a, b):\n    return 0\n"))
    assert red.exit_code == 1
    assert red.as_json()["findings"][0]["id"] == "test_calc.py::test_add"
    bad = await locally(Verb.VERIFY, project(tmp_path, ameide__yaml="version: 3\n"))
    assert bad.exit_code == 2
    assert "ameide.yaml" in bad.summary


async def test_a_folder_that_is_no_project_is_told_what_to_add(tmp_path: Path) -> None:
    report = await locally(Verb.VERIFY, tmp_path)
    assert report.exit_code == 2
    assert "verify.suites.default" in report.summary


async def test_scaffold_and_generate_work_in_the_example(tmp_path: Path) -> None:
    folder = tmp_path / "orders"
    shutil.copytree(example("orders"), folder)
    requirement = tmp_path / "requirement.json"
    said = {"change_id": "chg-9", "title": "Cancel", "text": "Why", "acceptance_criteria": ["First"]}
    requirement.write_text(json.dumps(said))
    assert (await locally(Verb.SCAFFOLD, folder, requirement)).exit_code == 0
    assert "1. First" in (folder / "docs" / "requirements" / "chg-9.md").read_text()

    assert (await locally(Verb.GENERATE, folder)).changed == []
    generated = folder / "gen" / "orders" / "v1" / "orders_pb.py"
    generated.write_text(generated.read_text() + "# edited\n")
    stale = await locally(Verb.GENERATE, folder)
    assert (stale.exit_code, list(stale.changed)) == (0, ["gen/orders/v1/orders_pb.py"])


async def test_the_contract_gate_finds_edited_generated_code(world: World) -> None:
    config = PROJECT["ameide.yaml"] + "generate: {inputs: [in.txt], run: [[cp, in.txt, out.txt]], outputs: [out.txt]}\n"
    files = {**PROJECT, "ameide.yaml": config, "in.txt": "1\n", "out.txt": "1\n"}
    remote = Remote.create(world.folder, "generated", files)
    base = remote.head()
    await world.run(STEPS[ActionKind.VERIFY], world.work(ActionKind.VERIFY, remote, commit=base, base=base))
    assert world.checks()["contract:generated-code"] == "PASSED"
    edited = remote.commit({"out.txt": "2\n"})
    with pytest.raises(Exception, match=r"Generated code is not what its inputs generate: out\.txt"):
        await world.run(STEPS[ActionKind.VERIFY], world.work(ActionKind.VERIFY, remote, commit=edited, base=base))


@pytest.fixture
def published_source(tmp_path: Path) -> dict[str, str]:
    """The files of a source distribution that ships its tests, as its authors published them."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-binary", ":all:", "--no-deps", "six==1.17.0"]
    subprocess.run([*command, "--dest", str(tmp_path)], check=True, capture_output=True)
    with tarfile.open(next(tmp_path.glob("six-*.tar.gz"))) as tar:
        tar.extractall(tmp_path, filter="data")
    root = tmp_path / "six-1.17.0"
    return {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*") if path.is_file()}


async def test_a_published_source_distribution_is_verified_by_its_own_tests(
    world: World, published_source: dict[str, str]
) -> None:
    remote = Remote.create(world.folder, "six", published_source)
    ready = await world.run(STEPS[ActionKind.PREFLIGHT], world.work(ActionKind.PREFLIGHT, remote))
    assert "0 failed" in ready.summary
    assert "test_six.py::test_lazy" in world.checks()
    assert git(remote.bare, "rev-parse", "main") == (ready.outputs.commit_sha if ready.outputs else "")
