"""Loopback ports of the engines: chosen once, kept in the state folder, chosen again when somebody else took one.

All lie below 32768, where Linux starts to hand out ports to outgoing connections: a port above could be taken by chance
while an engine is stopped, and Temporal's membership does not announce itself on one.
"""

import json
import random
import socket
from collections.abc import Callable, Iterable
from pathlib import Path

from ameide.engine.files import read_json, write_whole

_RANGE = range(20_000, 32_000)


def is_free(port: int) -> bool:
    """Whether nobody listens on ``port`` of the loopback address."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


class Ports:
    """The named ports of one state folder."""

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self._path = path
        self._say = say

    def known(self) -> dict[str, int]:
        """The recorded ports by name; empty before the first start."""
        return {name: port for name, port in read_json(self._path).items() if isinstance(port, int)}

    def claim(self, names: Iterable[str]) -> dict[str, int]:
        """A free port for each name: the recorded one where it is still free, else another one, and says so.

        Call it only while the process that uses these names is stopped; its own port would count as taken.
        """
        recorded = self.known()
        chosen: dict[str, int] = {}
        for name in names:
            port = recorded.get(name)
            if port is None or not is_free(port):
                if port is not None:
                    self._say(f"Port {port} ({name}) is in use by another program; choosing another one.")
                port = self._pick({*recorded.values(), *chosen.values()})
            chosen[name] = port
        if any(recorded.get(name) != port for name, port in chosen.items()):
            write_whole(self._path, json.dumps(recorded | chosen, indent=2) + "\n")
        return chosen

    @staticmethod
    def _pick(taken: set[int]) -> int:
        for port in random.sample(_RANGE, len(_RANGE)):
            if port not in taken and is_free(port):
                return port
        raise OSError("no free loopback port between 20000 and 31999; stop some programs that listen there")
