"""Coders on a real git repository, through a real executor: what they may change, and what becomes of it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ameide.infra.credentials import Credentials
from ameide.infra.executor import Executor
from ameide.infra.isolation.bubblewrap import proxies
from ameide.infra.object_store import ObjectStore
from ameide.infra.settings import ExecutorSettings
from ameide.infra.steps import Profile
from ameide.rpc.clients import Clients
from ameide_core_proto.common.v1.metadata_pb import Scope
from ameide_core_proto.transformation.work.v1.command_service_pb import RecordWorkOutcomeRequest
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    FailureCode,
    Finding,
    FindingClass,
    PathRules,
    WorkInputs,
    WorkKind,
    WorkRequest,
    WorkResult,
)
from tests.infra.executor_process import STEPS
from tests.infra.work_double import QUEUE, WorkDouble

BRANCH = "agent/coder/chg-1/1"
ADD_CANCEL = """\
diff --git a/orders.py b/orders.py
--- a/orders.py
+++ b/orders.py
@@ -1 +1,4 @@
 orders = {}
+
+def cancel(order):
+    orders.pop(order)
"""
LEAKED = Credentials(variables={"other": "x-access-token:forge-password-1"})


def git(folder: Path, *args: str) -> str:
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.invalid")
    return subprocess.run(
        ["git", *identity, "-C", folder, *args], check=True, capture_output=True, text=True
    ).stdout.strip()


class Remote:
    """A bare repository with one commit on main."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "orders.git"
        clone = folder / "clone"
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", self.folder], check=True)
        subprocess.run(["git", "clone", "-q", self.folder, clone], check=True, capture_output=True)
        (clone / "orders.py").write_text("orders = {}\n")
        (clone / "ameide.yaml").write_text("verify: {}\n")
        git(clone, "add", "-A")
        git(clone, "commit", "-qm", "Start")
        git(clone, "push", "-q", "origin", "HEAD:main")
        self.clone = clone
        self.main = git(clone, "rev-parse", "HEAD")

    def head(self, branch: str = BRANCH) -> str:
        return git(self.folder, "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")

    def show(self, path: str, branch: str = BRANCH) -> str:
        return git(self.folder, "show", f"{branch}:{path}")


@pytest.fixture
def remote(state_dir: Path) -> Remote:
    folder = state_dir / "remotes"
    folder.mkdir()
    return Remote(folder)


def agent_work(
    remote: Remote, *, coder: str = "command", iteration: int = 1, start: str = "", expected: str = ""
) -> WorkRequest:
    return WorkRequest(
        scope=Scope(tenant_id="default", repository_id="orders"),
        work_request_id=f"wrk-{iteration}",
        work_kind=WorkKind.AGENT_WORK,
        action_kind=ActionKind.PUBLISH,
        queue=QUEUE,
        change_id="chg-1",
        repo_url=remote.folder.as_uri(),
        base_sha=remote.main,
        commit_sha=start or remote.main,
        coder=coder,
        path_rules=PathRules(denied=["ameide.yaml", ".github/**"]),
        inputs=WorkInputs(
            iteration=iteration,
            branch=BRANCH,
            expected_branch_sha=expected,
            requirement_title="Cancel an order",
            requirement_text="A customer can cancel an order.",
            acceptance_criteria=["An open order can be cancelled.", "A shipped one cannot."],
            findings=[Finding(class_=FindingClass.TEST_FAILURE, id="tests/test_a.py::test_b", what_failed="KeyError")],
        ),
    )


class Bench:
    """Runs one work with a coder and gives its outcome."""

    def __init__(self, double: WorkDouble, settings: ExecutorSettings, store: ObjectStore) -> None:
        self.double, self.settings, self.store = double, settings, store
        self.objects = Path(settings.object_store.removeprefix("file://"))

    async def run(
        self, work: WorkRequest, *, script: str = "", patches: Path | None = None
    ) -> RecordWorkOutcomeRequest:
        command = ("sh", "-c", script) if script else ()
        settings = replace(self.settings, coder_command=command, coder_patches=patches)
        async with Clients(settings.address, settings.token) as clients:
            await self.double.offer(work)
            await Executor(settings, STEPS, clients, self.store).run_once()
        return self.double.outcomes.pop(work.work_request_id)

    async def failure(self, work: WorkRequest, script: str) -> WorkResult:
        result = (await self.run(work, script=script)).result
        assert result
        return result


@pytest.fixture
def bench(double: WorkDouble, settings: ExecutorSettings, store: ObjectStore) -> Bench:
    return Bench(double, settings, store)


async def test_patches_are_applied_one_an_iteration(bench: Bench, remote: Remote, tmp_path: Path) -> None:
    (tmp_path / "001-add-cancel.patch").write_text(ADD_CANCEL)
    outcome = await bench.run(agent_work(remote, coder="patches"), patches=tmp_path)
    assert outcome.result
    assert outcome.result.outputs
    outputs = outcome.result.outputs
    assert outputs.commit_sha == remote.head()
    assert outputs.base_sha == remote.main
    assert outputs.changed_paths == ["orders.py"]
    assert "def cancel" in remote.show("orders.py")
    assert "offline" in outcome.result.summary
    message = git(remote.folder, "log", "-1", "--format=%an%n%B", BRANCH)
    assert message.startswith("ameide coder\nCancel an order")
    assert "Ameide-Work: wrk-1" in message
    assert "Ameide-Change: chg-1" in message
    second = agent_work(remote, coder="patches", iteration=2, start=outputs.commit_sha, expected=outputs.commit_sha)
    failed = (await bench.run(second, patches=tmp_path)).result
    assert failed
    assert failed.failure_code is FailureCode.TOOL_FAILED
    assert "002-*.patch" in failed.summary
    assert remote.head() == outputs.commit_sha


async def test_a_command_gets_the_prompt_and_nothing_else(bench: Bench, remote: Remote) -> None:
    script = "cat > prompt.txt; tr '\\0' '\\n' </proc/self/environ > env.txt; cmp prompt.txt $AMEIDE_PROMPT_FILE"
    outcome = await bench.run(agent_work(remote), script=script)
    assert outcome.result
    assert outcome.result.failure_code is FailureCode.UNSPECIFIED, outcome.result.summary
    told = remote.show("prompt.txt")
    assert "1. An open order can be cancelled." in told
    assert "`tests/test_a.py::test_b`" in told
    names = {line.partition("=")[0] for line in remote.show("env.txt").splitlines() if "=" in line}
    assert names == {
        *("PATH", "HOME", "TMPDIR", "LANG", "USER", "LOGNAME", "PYTHONDONTWRITEBYTECODE"),
        *("AMEIDE_WORKSPACE", "AMEIDE_PROMPT_FILE", "AMEIDE_ITERATION", "AMEIDE_WORK_REQUEST_ID", "PWD"),
        *proxies(Profile.CODER),
    }


@pytest.mark.parametrize(
    ("script", "identity"),
    [
        ("echo 'verify: true' > ameide.yaml; echo x >> orders.py", "path:ameide.yaml"),
        ("mkdir -p .github/workflows; echo x > .github/workflows/ci.yml", "path:.github/workflows/ci.yml"),
        ("mv ameide.yaml elsewhere.yaml", "path:ameide.yaml"),
        ("ln -s /etc/passwd users.txt", "path:users.txt"),
        ("ln -s ameide.yaml other.yaml", "path:other.yaml"),
        ("git init -q sub && cd sub && git -c user.name=a -c user.email=a@b.c commit -qm x --allow-empty", "path:sub"),
        ("mkfifo pipe", "path:pipe"),
        (
            "echo x >> orders.py; git add -A; git update-index --assume-unchanged ameide.yaml; echo y > ameide.yaml",
            "path:ameide.yaml",
        ),
    ],
)
async def test_what_a_coder_may_not_change_is_a_violation(
    bench: Bench, remote: Remote, script: str, identity: str
) -> None:
    result = await bench.failure(agent_work(remote), script)
    assert result.failure_code is FailureCode.POLICY_VIOLATION, result.summary
    assert identity in [finding.id for finding in result.findings]
    assert {finding.class_ for finding in result.findings} == {FindingClass.POLICY_VIOLATION}
    assert remote.head() == ""


@pytest.mark.parametrize(
    ("script", "identity"),
    [
        ("echo forge-password-1 >> orders.py", "secret:orders.py:2"),
        ("printf 'a\nb forge-password-1' > 'new file.txt'", "secret:new file.txt:2"),
        ("printf forge-password-1 | base64 >> orders.py", "secret:orders.py:2"),
        ("printf 'x-access-token:forge-password-1' | base64 >> orders.py", "secret:orders.py:2"),
        ("echo x > notes-forge-password-1.md", "secret:notes-[redacted].md:0"),
        ("printf '\\0forge-password-1' > data.bin", "secret:data.bin:1"),
    ],
)
async def test_a_secret_of_the_executor_is_never_pushed(
    bench: Bench, remote: Remote, script: str, identity: str
) -> None:
    bench.settings = replace(
        bench.settings, credentials=Credentials(variables={"other": "x-access-token:forge-password-1"})
    )
    result = await bench.failure(agent_work(remote), script)
    assert result.failure_code is FailureCode.POLICY_VIOLATION, result.summary
    assert [finding.id for finding in result.findings] == [identity]
    assert remote.head() == ""
    stored = b"".join(file.read_bytes() for file in bench.objects.rglob("*") if file.is_file())
    assert b"forge-password-1" not in stored
    assert [file.name for file in bench.objects.rglob("change.patch")] == ["change.patch"]


async def test_a_commit_message_holds_no_secret(bench: Bench, remote: Remote) -> None:
    work = agent_work(remote)
    assert work.inputs
    work.inputs.requirement_title = "Use forge-password-1 and ghp_0123456789abcdefghijABCDEFGHIJ012345"
    bench.settings = replace(
        bench.settings, credentials=Credentials(variables={"other": "x-access-token:forge-password-1"})
    )
    await bench.run(work, script="echo x >> orders.py")
    assert git(remote.folder, "log", "-1", "--format=%s", BRANCH) == "Use [redacted] and [redacted]"


async def test_allowed_paths_are_all_that_may_change(bench: Bench, remote: Remote) -> None:
    work = agent_work(remote)
    work.path_rules = PathRules(allowed=["src/**"])
    result = await bench.failure(work, "mkdir src; echo x > src/a.py; echo y > b.py")
    assert [finding.location for finding in result.findings] == ["b.py"]


async def test_no_change_is_a_failure(bench: Bench, remote: Remote) -> None:
    result = await bench.failure(agent_work(remote), "true")
    assert result.failure_code is FailureCode.TOOL_FAILED
    assert [finding.id for finding in result.findings] == ["no_change"]


async def test_a_change_that_nobody_could_read_is_a_violation(bench: Bench, remote: Remote) -> None:
    result = await bench.failure(agent_work(remote), "truncate -s 65M huge.bin")
    assert result.failure_code is FailureCode.POLICY_VIOLATION
    assert [found.id for found in result.findings] == ["change_size"]


async def test_a_branch_that_was_set_elsewhere_is_a_conflict(bench: Bench, remote: Remote) -> None:
    elsewhere = git(remote.clone, "commit-tree", "-m", "Another story", "HEAD^{tree}")
    git(remote.clone, "push", "-q", "origin", f"{elsewhere}:refs/heads/{BRANCH}")
    result = await bench.failure(agent_work(remote), "echo x >> orders.py")
    assert result.failure_code is FailureCode.CONFLICT
    assert [finding.id for finding in result.findings] == ["branch_moved"]
    assert result.outputs
    assert result.outputs.commit_sha == remote.head() == elsewhere


async def test_a_repeated_attempt_takes_the_commit_that_is_there(bench: Bench, remote: Remote) -> None:
    first = (await bench.run(agent_work(remote), script="date +%N >> orders.py")).result
    again = (await bench.run(agent_work(remote), script="date +%N >> orders.py")).result
    assert first
    assert first.outputs
    assert again
    assert again.outputs
    assert again.outputs.commit_sha == first.outputs.commit_sha == remote.head()
    assert again.outputs.diff_hash == first.outputs.diff_hash


async def test_nothing_the_coder_configures_is_run(bench: Bench, remote: Remote, state_dir: Path) -> None:
    trap = state_dir / "trap"
    trap.mkdir(mode=0o777)
    trap.chmod(0o777)
    program = f"#!/bin/sh\\ntouch {trap}/sprung-$(id -u)\\n"
    script = f"""
    for hook in pre-commit post-checkout pre-push post-commit reference-transaction; do
        mkdir -p .git/hooks; printf '{program}' > .git/hooks/$hook; chmod +x .git/hooks/$hook; done
    printf '{program}' > $HOME/spy; chmod +x $HOME/spy
    git config core.fsmonitor $HOME/spy; git config core.hooksPath $PWD/.git/hooks
    git config filter.spy.clean $HOME/spy; echo '* filter=spy' > .gitattributes
    printf '[core]\\n fsmonitor = %s\\n' $HOME/spy > $HOME/.gitconfig
    rm -f {trap}/*; echo x >> orders.py
    """
    outcome = await bench.run(agent_work(remote), script=script)
    assert outcome.result
    assert outcome.result.failure_code is FailureCode.UNSPECIFIED, outcome.result.summary
    assert list(trap.iterdir()) == []


async def test_a_missing_credential_is_named(bench: Bench, remote: Remote) -> None:
    work = agent_work(remote)
    work.credential_ref = "orders-forge"
    result = await bench.failure(work, "true")
    assert result.failure_code is FailureCode.MISSING_CREDENTIALS
    assert "orders-forge" in result.summary


Break = Callable[[WorkRequest], None]


def _unknown_commit(work: WorkRequest) -> None:
    work.commit_sha = "0" * 39 + "1"


def _no_remote(work: WorkRequest) -> None:
    work.repo_url += "-gone"


@pytest.mark.parametrize("spoil", [_unknown_commit, _no_remote])
async def test_a_failed_checkout_is_an_outcome(bench: Bench, remote: Remote, spoil: Break) -> None:
    work = agent_work(remote)
    spoil(work)
    result = await bench.failure(work, "true")
    assert result.failure_code is FailureCode.CHECKOUT_FAILED
    assert result.summary.startswith("repo_url: ")
