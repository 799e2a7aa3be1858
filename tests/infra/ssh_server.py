"""A git server as a team has it: SSH with a key, in this process."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import asyncssh


def _key() -> asyncssh.SSHKey:
    # The library's own signature is partly unknown.
    generate = cast("Callable[[str], asyncssh.SSHKey]", cast(Any, asyncssh).generate_private_key)
    return generate("ssh-ed25519")


@dataclass
class SshGit:
    """An SSH server that knows one key. `known_hosts` is the line by which a client knows it."""

    root: Path
    private_key: str
    port: int = 0
    known_hosts: str = ""
    commands: list[str] = field(default_factory=list[str])

    def of(self, bare: Path) -> str:
        """The URL of a repository."""
        return f"ssh://git@127.0.0.1:{self.port}{bare}"


@contextmanager
def ssh_git(root: Path) -> Generator[SshGit]:
    """Serve meanwhile, in a thread with an event loop of its own."""
    client, host = _key(), _key()
    served = SshGit(root, client.export_private_key().decode())
    authorized = asyncssh.import_authorized_keys(client.export_public_key().decode())
    started, over = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def handle(process: asyncssh.SSHServerProcess[bytes]) -> None:
        command = process.command or ""
        served.commands.append(command)
        if command.split()[0] not in ("git-upload-pack", "git-receive-pack"):
            process.exit(127)
            return
        child = await asyncio.create_subprocess_shell(
            command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "GIT_PROTOCOL": process.env.get("GIT_PROTOCOL", "")},
        )
        into, out, err = child.stdin, child.stdout, child.stderr
        assert into is not None
        assert out is not None
        assert err is not None

        async def send() -> None:
            while data := await process.stdin.read(65536):
                into.write(data)
            into.close()

        async def receive(source: asyncio.StreamReader, target: asyncssh.SSHWriter[bytes]) -> None:
            while data := await source.read(65536):
                target.write(data)
                await target.drain()

        sending = asyncio.create_task(send())
        await asyncio.gather(receive(out, process.stdout), receive(err, process.stderr))
        code = await child.wait()
        sending.cancel()
        process.exit(code)

    async def serve() -> None:
        server = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[host],
            authorized_client_keys=authorized,
            process_factory=handle,
            encoding=None,
        )
        served.port = server.get_port()
        public = " ".join(host.export_public_key().decode().split()[:2])
        served.known_hosts = f"[127.0.0.1]:{served.port} {public}\n"
        started.set()
        await over.wait()
        server.close()
        await server.wait_closed()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert started.wait(20), "the SSH server did not start"
    try:
        yield served
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()
