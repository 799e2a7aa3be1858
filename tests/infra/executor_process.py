"""A real executor process for the tests: its steps run the shell script that the work carries."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

from ameide import logs
from ameide.infra.analyzing import analyzing
from ameide.infra.attempt import Steps
from ameide.infra.coding import coding
from ameide.infra.executor import Executor
from ameide.infra.object_store import ObjectStore
from ameide.infra.settings import ExecutorSettings, UnprivilegedUser
from ameide.infra.steps import Profile, StepContext
from ameide.infra.toolchain import prepare
from ameide.infra.work_root import occupy
from ameide.rpc.clients import Clients
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, CheckResult, CheckStatus, WorkResult


async def run_script(ctx: StepContext) -> WorkResult:
    """Run the requirement's text as a shell script with the environment of a verify child."""
    assert ctx.work.inputs
    script = ctx.work.inputs.requirement_text
    if script == "break":
        raise RuntimeError("the step broke with ameide_default_tok_abcdefgh12345678 in hand")
    argv = script.split() if script.startswith("no-such") else ["sh", "-c", script]
    result = await ctx.run(argv, cwd=ctx.workspace.tree, profile=Profile.VERIFY)
    ctx.evidence.add_file("script.log", result.log, "text/plain")
    ctx.evidence.add_check(CheckResult(id="script", status=CheckStatus.PASSED))
    ctx.evidence.describe("sh", "", argv, result.exit_code)
    return WorkResult(summary=f"exit code {result.exit_code}", exit_code=result.exit_code)


async def no_generation(_ctx: StepContext, _since: str) -> None:
    """These repositories generate nothing."""


def settings_from(said: dict[str, str], user: UnprivilegedUser | None) -> ExecutorSettings:
    """Settings of an executor that serves the queue of the tests."""
    toolchain = prepare(user, print)
    return ExecutorSettings(
        address=said["address"],
        token=said["token"],
        name="verifier",
        queues=(said["queue"],),
        work_root=Path(said["work_root"]),
        object_store=said["object_store"],
        registry="",
        forge="",
        python=toolchain.python,
        search_path=toolchain.search_path,
        user=user,
        poll_seconds=2,
        operator_environment={"PIP_INDEX_URL": "https://index.invalid/simple", "OTHER": "not for children"},
    )


STEPS = Steps(
    dict.fromkeys(ActionKind, run_script),
    {ActionKind.PUBLISH: coding(no_generation), ActionKind.ANALYZE: analyzing()},
)


async def main(said: dict[str, str]) -> None:
    """Serve until SIGTERM."""
    logs.configure("INFO")
    user = UnprivilegedUser(int(said["uid"]), int(said["uid"])) if said["uid"] else None
    root = occupy(Path(said["work_root"]), "verifier")
    settings = settings_from({**said, "work_root": str(root.folder)}, user)
    async with Clients(settings.address, settings.token) as clients:
        executor = Executor(settings, STEPS, clients, ObjectStore(settings.object_store))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, executor.stop)
        await executor.serve()
    root.close()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
