"""Proof that Codex's own sandbox holds, by trying what it must refuse. Codex is silent when it does not even start."""

from __future__ import annotations

from collections.abc import Mapping

from ameide.infra.coders.codex_failures import no_sandbox
from ameide.infra.coders.codex_program import Program
from ameide.infra.coders.port import CoderTask
from ameide.infra.steps import Profile, Reach

_HOSTS = 3
_CANARY = """
import os, pathlib, socket, sys, urllib.parse, uuid
held = True
def tried(what, done, allowed):
    global held
    held = held and done == allowed
    print(what + ": " + ("done" if done else "refused") + ("" if done == allowed else ", which is wrong"))
writes = sys.argv[1] == "writes"
for folder, allowed in ((".", writes), (os.environ["HOME"], writes), (sys.argv[2], False), ("/tmp", False)):
    file = pathlib.Path(folder) / (".canary-" + uuid.uuid4().hex)
    try:
        file.touch()
        file.unlink()
        tried("write to " + folder, True, allowed)
    except OSError:
        tried("write to " + folder, False, allowed)
proxies = {os.environ.get(name, "") for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")} - {""}
for address in (*sorted(urllib.parse.urlsplit(proxy).netloc for proxy in proxies), *sys.argv[3:]):
    host, _, port = address.rpartition("@")[2].rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
        tried("connect to " + address, True, False)
    except (OSError, ValueError):
        tried("connect to " + address, False, False)
print("the sandbox holds" if held else "the sandbox does not hold")
sys.exit(0 if held else 3)
"""


async def prove_sandbox(task: CoderTask, program: Program, environment: Mapping[str, str], reach: Reach) -> None:
    """The agent's commands may write the working tree, HOME and TMPDIR, or nothing, and reach nobody, nor the model.

    What was tried is evidence. Raises `StepFailed(SANDBOX_UNAVAILABLE)` when one thing came out otherwise.
    """
    hosts = [host for host in reach.hosts if not host.startswith("*")][:_HOSTS]
    may = "reads" if task.read_only else "writes"
    command = (str(task.settings.python), "-I", "-c", _CANARY, may, environment["CODEX_HOME"], *hosts)
    argv = program.sandbox_argv(task.workspace.tree, *command)
    proof = await task.run(argv, cwd=task.workspace.tree, env=environment, profile=Profile.CODER, reach=reach)
    task.evidence.add_file("codex-sandbox.txt", proof.log, "text/plain")
    if proof.exit_code:
        raise no_sandbox(proof.output_tail)
    task.log("codex: the sandbox of its commands holds")
