"""The canary: tries, inside a sandbox and before any program of the work, what the sandbox must refuse.

Its text is run by the children's interpreter, and imports nothing of ours. Argument: ``{"write": [files], "read":
[files], "connect": [[host, port]], "names": [hosts], "proxy": [host, port], "through": target}`` as JSON. Answer: a
JSON list of ``[what was tried, whether it was done]``.
"""

import json
import os
import socket
import sys
from collections.abc import Callable


def write(path: str) -> None:
    """Leave a file there; whether it arrived is seen from outside."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))


def read(path: str) -> None:
    """Read a file that is none of the work's."""
    with open(path, "rb") as file:
        file.read(1)


def connect(host: str, port: int) -> None:
    """Open a connection past the proxy."""
    socket.create_connection((host, port), 2).close()


def through(proxy: tuple[str, int], target: str) -> None:
    """Ask the proxy for a host that is not allowed."""
    with socket.create_connection(proxy, 5) as asked:
        asked.sendall(f"CONNECT {target} HTTP/1.1\r\n\r\n".encode())
        answer = asked.recv(64).split(b" ")
    if answer[1:2] == [b"403"]:
        raise PermissionError(target)


def foreign_processes() -> None:
    """See a process that is neither ours nor the sandbox's first."""
    others = [name for name in os.listdir("/proc") if name.isdigit() and int(name) not in (1, os.getpid())]
    if not others:
        raise ProcessLookupError


def main() -> None:
    """Try everything, and tell."""
    said = json.loads(sys.argv[1])
    tried: list[tuple[str, bool]] = []

    def attempt(what: str, action: Callable[[], object]) -> None:
        try:
            action()
        except OSError:
            tried.append((what, False))
        else:
            tried.append((what, True))

    for path in said["write"]:
        attempt(f"write {path}", lambda path=path: write(path))
    for path in said["read"]:
        attempt(f"read {path}", lambda path=path: read(path))
    for host, port in said["connect"]:
        attempt(f"connect to {host}:{port}", lambda host=host, port=port: connect(host, port))
    for name in said["names"]:
        attempt(f"look up {name}", lambda name=name: socket.getaddrinfo(name, 443))
    attempt(f"connect to {said['through']} by the proxy", lambda: through(tuple(said["proxy"]), said["through"]))
    attempt("see processes of others", foreign_processes)
    print(json.dumps(tried))


if __name__ == "__main__":
    main()
