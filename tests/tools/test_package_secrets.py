"""Secret files of a package index: the tests of a verification find them, and nothing else and nobody sees them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ameide.infra.credentials import Credentials
from ameide.infra.steps import StepFailed
from ameide.infra.tools import STEPS
from ameide.infra.tools.package_secrets import tokens
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, FailureCode, PackageSecret, WorkRequest
from tests.tools.world import Remote, World

PASSWORD = "correct-Horse9-battery"
NETRC = f"machine index.example.org\nlogin robot\npassword {PASSWORD}\n"
LOOK = """\
ls -l "$HOME/.netrc" "$PIP_CONFIG_FILE"
cat "$HOME/.netrc" "$PIP_CONFIG_FILE"
echo '<testsuite><testcase classname="a" name="b"/></testsuite>' > report.xml
"""
FILES = {
    "ameide.yaml": "version: 1\n"
    "generate: {inputs: [in], outputs: [out], run: [[sh, -c, 'test ! -e $HOME/.netrc && cp in out']]}\n"
    "verify: {suites: {default: {run: [sh, suite.sh], junit: report.xml}}}\n",
    "suite.sh": LOOK,
    "in": "x\n",
    "out": "x\n",
}
SECRETS = [
    PackageSecret(name="index-netrc", home_path=".netrc"),
    PackageSecret(name="pip.conf", variable="PIP_CONFIG_FILE"),
]


def prepared(world: World, *, mode: int = 0o600) -> WorkRequest:
    folder = world.folder / "credentials"
    folder.mkdir()
    for name, text in {"index-netrc": NETRC, "pip.conf": "[global]\ntimeout = 99\n"}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(mode)
    world.settings = replace(world.settings, credentials=Credentials(folder))
    remote = Remote.create(world.folder, "project", FILES)
    return replace_secrets(world.work(ActionKind.VERIFY, remote, commit=remote.head(), base=remote.head()))


def replace_secrets(work: WorkRequest) -> WorkRequest:
    work.verify_secrets = list(SECRETS)
    return work


async def test_the_tests_find_the_files_and_nobody_sees_what_is_in_them(world: World) -> None:
    result = await world.run(STEPS[ActionKind.VERIFY], prepared(world))
    assert "1 passed" in result.summary
    assert "login robot" in world.log
    assert "timeout = 99" in world.log
    assert "[redacted]" in world.log
    assert PASSWORD not in world.log
    stored = [path.read_bytes() for path in (world.folder / "objects").rglob("*") if path.is_file()]
    assert not any(PASSWORD.encode() in data for data in stored)


@pytest.mark.parametrize(
    ("mode", "gone", "why"), [(0o600, True, "this executor has no file"), (0o644, False, "is open to others (mode")]
)
async def test_one_that_cannot_be_used_is_named_before_anything_runs(
    world: World, mode: int, gone: bool, why: str
) -> None:
    work = prepared(world, mode=mode)
    if gone:
        (world.folder / "credentials" / "index-netrc").unlink()
    with pytest.raises(StepFailed) as failed:
        await world.run(STEPS[ActionKind.VERIFY], work)
    assert failed.value.code is FailureCode.MISSING_CREDENTIALS
    assert "policy.verify_secrets index-netrc" in failed.value.summary
    assert why.partition(" (")[0] in failed.value.summary
    assert "sh suite.sh" not in world.log


async def test_other_works_get_none(world: World) -> None:
    work = prepared(world)
    work.action_kind = ActionKind.GENERATE
    await world.run(STEPS[ActionKind.GENERATE], work)
    assert "secret file" not in world.log


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (NETRC, {PASSWORD}),
        ("//npm.example.org/:_authToken=npm_AbC123dEf456\nregistry=https://npm.example.org/\n", {"npm_AbC123dEf456"}),
        ("<server><username>robot</username><password>hunter2</password></server>", {"hunter2"}),
        ("[global]\nindex-url = https://robot:s3cr3tW0rd@index.example.org/simple\n", {"s3cr3tW0rd"}),
    ],
)
def test_what_is_secret_in_a_file_is_told_from_what_is_not(text: str, found: set[str]) -> None:
    words = "\n".join(tokens(text))
    assert all(secret in words for secret in found)
    assert "https://npm.example.org/" not in words.split()
    assert not {"machine", "index.example.org", "registry", str(Path("/"))} & set(words.split())
