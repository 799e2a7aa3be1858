"""One send for an answer. uvicorn writes its headers, its body and its end apart, and each would be a packet that wakes
the client."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


class Gathered(asyncio.Transport):
    """Sends together what is written within one turn of the event loop."""

    def __init__(self, inner: asyncio.Transport) -> None:
        super().__init__()
        self._inner = inner
        self._written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """With the other writes of this turn."""
        if not self._written:
            asyncio.get_running_loop().call_soon(self._send)
        self._written.append(bytes(data))

    def _send(self) -> None:
        written, self._written = self._written, []
        if written:
            self._inner.write(b"".join(written))

    def close(self) -> None:
        """After what was written."""
        self._send()
        self._inner.close()

    def is_closing(self) -> bool:
        """As the transport's."""
        return self._inner.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As the transport's."""
        return self._inner.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """As the transport's."""
        self._inner.pause_reading()

    def resume_reading(self) -> None:
        """As the transport's."""
        self._inner.resume_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """As the transport's."""
        self._inner.set_protocol(protocol)


class GatheringProtocol(H11Protocol):
    """uvicorn's HTTP on such a transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """A client has connected."""
        super().connection_made(Gathered(transport))
