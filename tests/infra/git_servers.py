"""A git server as a team has it: smart HTTP with basic authentication, in this process."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_IDENTITY = ("-c", "user.name=A Person", "-c", "user.email=person@example.org")


def git(folder: Path, *args: str, env: dict[str, str] | None = None) -> str:
    """Run git as a person; its output without the last line break."""
    done = subprocess.run(
        ["git", *_IDENTITY, *args],
        cwd=folder,
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, **(env or {})},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def bare_repository(folder: Path, name: str = "orders", branch: str = "main") -> Path:
    """A new bare repository with one commit on its default branch, which may be pushed to over HTTP."""
    bare, clone = folder / f"{name}.git", folder / f"{name}-clone"
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q", "--bare", "-b", branch, str(bare))
    git(bare, "config", "http.receivepack", "true")
    git(folder, "clone", "-q", str(bare), str(clone))
    (clone / "pyproject.toml").write_text('[project]\nname = "orders"\nversion = "1"\n')
    (clone / "tests").mkdir()
    (clone / "tests" / "test_orders.py").write_text("def test_nothing():\n    assert True\n")
    git(clone, "checkout", "-q", "-B", branch)
    git(clone, "add", "--all")
    git(clone, "commit", "-q", "-m", "Start")
    git(clone, "push", "-q", "origin", branch)
    return bare


def refuse_pushes(bare: Path, refs: str, words: str) -> None:
    """Have the server refuse pushes to some refs (a pattern of the shell), as a forge protects branches."""
    hook = bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    judged = f'case "$ref" in {refs}) echo "{words}"; exit 1;; esac'
    hook.write_text(f"#!/bin/sh\nwhile read -r _ _ ref; do {judged}; done\n")
    hook.chmod(0o755)
    # Said here, since the executor's git has hooks switched off and a remote on this machine would go by that.
    git(bare, "config", "core.hooksPath", str(hook.parent))


@dataclass
class HttpGit:
    """A smart HTTP server for the repositories below a folder. Without the password nobody reads or writes.

    `asked` are the paths that came, `logins` the user and password of each request that had them.
    """

    root: Path
    user: str = "robot"
    password: str = "correct-horse-battery"
    redirect_to: str = ""
    url: str = ""
    asked: list[str] = field(default_factory=list[str])
    logins: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def of(self, bare: Path) -> str:
        """The URL of a repository below the folder."""
        return f"{self.url}/{bare.relative_to(self.root)}"


def _object(folder: Path, oid: str) -> Path:
    return folder / oid[:2] / oid[2:4] / oid


@contextmanager
def http_git(root: Path, *, redirect_to: str = "") -> Generator[HttpGit]:
    """Serve meanwhile on a free port of the loopback interface."""
    served = HttpGit(root, redirect_to=redirect_to)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def log_message(self, format: str, *args: object) -> None:
            del format, args

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self._body())

        def do_PUT(self) -> None:
            self._answer(self._body())

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            chunks: list[bytes] = []
            while size := int(self.rfile.readline(), 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            return b"".join(chunks)

        def _answer(self, body: bytes) -> None:
            served.asked.append(self.path)
            if served.redirect_to:
                self.send_response(302)
                self.send_header("Location", served.redirect_to + self.path)
                self.end_headers()
                return
            scheme, _, token = self.headers.get("Authorization", "").partition(" ")
            login = tuple(base64.b64decode(token).decode().partition(":")[::2]) if scheme == "Basic" else ("", "")
            if scheme:
                served.logins.append((login[0], login[1]))
            if login != (served.user, served.password):
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.end_headers()
                return
            path, _, query = self.path.partition("?")
            if "/info/lfs/objects" in path:
                self._lfs(path, body)
                return
            environment = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(served.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "safe.directory",
                "GIT_CONFIG_VALUE_0": "*",
                "REQUEST_METHOD": self.command,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REMOTE_USER": served.user,
                "REMOTE_ADDR": "127.0.0.1",
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            }
            done = subprocess.run(
                ["git", "http-backend"], input=body, env=environment, capture_output=True, check=False
            )
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
            self.send_response(int(headers.pop("Status", "200").split()[0]))
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _lfs(self, path: str, body: bytes) -> None:
            """The batch API of Git LFS with its basic transfer; objects lie in the repository, as git-lfs has them."""
            repository, _, oid = path.partition("/info/lfs/objects/")
            folder = served.root / repository.lstrip("/") / "lfs" / "objects"
            kind, answer = "application/octet-stream", b""
            if oid == "batch":
                asked = json.loads(body)
                action, kind = asked["operation"], "application/vnd.git-lfs+json"
                place = f"{served.url}{repository}/info/lfs/objects"
                objects = [{**one, "actions": {action: {"href": f"{place}/{one['oid']}"}}} for one in asked["objects"]]
                answer = json.dumps({"transfer": "basic", "objects": objects}).encode()
            elif self.command == "PUT":
                _object(folder, oid).parent.mkdir(parents=True, exist_ok=True)
                _object(folder, oid).write_bytes(body)
            else:
                answer = _object(folder, oid).read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
