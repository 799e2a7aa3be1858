"""The bytes of evidence at the door: `PUT <path><name>` and `GET <path>?uri=<uri>`, `path` as OpenEvidenceUpload says.

Whoever calls may be hostile: nothing is read before the claim is known to be current and room is held, an upload never
gets more than it said, lies on disk and not in memory while it comes, and comes in time or not at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, MutableMapping
from contextlib import asynccontextmanager
from typing import IO, Any
from urllib.parse import parse_qs

from ameide.domain.commands.uploads import PATH, Pair, Uploads
from ameide.domain.decisions.upload import Upload, taken
from ameide.errors import AmeideError, Conflict, Internal, InvalidArgument, NotFound, Unreachable
from ameide.events.ports import Objects
from ameide.logs import bound
from ameide.rpc.asgi import Receive, Scope, Send, answer_error, answer_file, answer_json
from ameide.rpc.interceptors import Authenticate, Caller, caller_of

log = logging.getLogger(__name__)
# At one door and time; those of one principal leave the others room.
AT_ONCE, AT_ONCE_OF_ONE = 32, 4
SECONDS, SILENT_SECONDS = 900.0, 30.0
_IN_MEMORY = 1 << 20
# Uploads of several MB, and inputs, are held in memory one at a time, on their way to the store and from it.
_LARGE = 8 << 20
# A refused body is read so far that the client gets to the answer.
_READ_OFF, _READ_OFF_SECONDS = 4 << 20, 5.0


class EvidenceDoor:
    """An ASGI application for everything below `PATH`."""

    def __init__(self, authenticate: Authenticate, uploads: Uploads, objects: Objects) -> None:
        self._authenticate, self._uploads, self._objects = authenticate, uploads, objects
        self._running: Counter[tuple[str, str]] = Counter()
        self._large = asyncio.Semaphore(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        # An answer before the body is asked for is what a client that sent `Expect: 100-continue` waits for.
        body = _Body(receive, silent=headers.get("expect", "").lower() == "100-continue")
        begun = False

        async def tell(message: MutableMapping[str, Any]) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            caller = await caller_of(self._authenticate, headers.get, for_others=False)
            with bound(
                tenant_id=caller.tenant_id, principal_id=caller.principal_id, method=f"{scope['method']} {PATH}"
            ):
                async with self._turn(caller), asyncio.timeout(SECONDS):
                    match scope["method"]:
                        case "PUT":
                            await self._put(caller, scope["path"], headers, body, tell)
                        case "GET":
                            await self._get(caller, scope, tell)
                        case method:
                            raise InvalidArgument(
                                f"{method} is not spoken here", remedy="PUT an artifact, or GET an input"
                            )
        except _HungUp:
            return
        except TimeoutError:
            # An answer that was begun is cut off; who reads it sees that it is shorter than it said.
            if not begun:
                await answer_error(send, Unreachable("the upload took too long", remedy="Try again on a faster line"))
        except AmeideError as error:
            await body.read_off()
            await answer_error(send, error)
        except Exception:
            log.exception("an upload failed unexpectedly")
            await answer_error(
                send, Internal("the call failed unexpectedly", remedy="The server's log has the details")
            )

    @asynccontextmanager
    async def _turn(self, caller: Caller) -> AsyncGenerator[None]:
        who = (caller.tenant_id, caller.principal_id)
        if self._running[who] >= AT_ONCE_OF_ONE or self._running.total() >= AT_ONCE:
            raise Unreachable("too many uploads at once", remedy="Send one after the other", reason="BUSY")
        self._running[who] += 1
        try:
            yield
        finally:
            self._running[who] -= 1
            if not self._running[who]:
                del self._running[who]

    async def _put(self, caller: Caller, path: str, headers: dict[str, str], body: _Body, send: Send) -> None:
        pair, name = _place(path)
        if not name:
            raise InvalidArgument("the path names no artifact", field="name", remedy="PUT <path><name>")
        size = _size(headers)
        uri, stored = await self._uploads.begin(caller, pair, name, size)
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as spool:
            sha256 = await body.receive(spool, size)
            if stored and stored != sha256:
                raise taken(name)
            if not stored:
                await self._store(uri, spool, size, name)
                await self._uploads.finish(caller, pair, Upload(name, size, sha256))
        media_type = headers.get("content-type", "application/octet-stream")[:128]
        await answer_json(
            send, 200, {"name": name, "uri": uri, "sha256": sha256, "bytes": size, "mediaType": media_type}
        )

    async def _store(self, uri: str, spool: IO[bytes], size: int, name: str) -> None:
        async with self._sized(size):
            spool.seek(0)
            data = await asyncio.to_thread(spool.read)
            try:
                await self._objects.put_if_absent(uri, data)
            except Conflict as error:
                # The answer of the store was lost before the Domain wrote down its hash.
                raise taken(name) from error

    async def _get(self, caller: Caller, scope: Scope, send: Send) -> None:
        pair, name = _place(scope["path"])
        query = parse_qs(scope["query_string"].decode("latin-1"))
        uri = query.get("uri", [""])[0]
        if name or not uri:
            raise NotFound("nothing is read here", remedy="GET <path>?uri=<uri of an input>")
        await self._uploads.admit(caller, pair, uri)
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as spool:
            # How large an input is shows when it is there. Whoever takes it, however slowly, has it from the disk.
            async with self._large:
                spool.write(await self._objects.get(uri))
            size = spool.tell()
            spool.seek(0)
            await answer_file(send, 200, "application/octet-stream", spool, size)

    @asynccontextmanager
    async def _sized(self, size: int) -> AsyncGenerator[None]:
        if size < _LARGE:
            yield
            return
        async with self._large:
            yield


class _HungUp(Exception):
    """The client went away."""


class _Body:
    """The body of a request; `silent` while the client waits to be asked for it."""

    def __init__(self, receive: Receive, *, silent: bool) -> None:
        self._receive, self._silent = receive, silent
        self._ended = False

    async def receive(self, spool: IO[bytes], size: int) -> str:
        """Take exactly `size` bytes; their SHA-256. Raises InvalidArgument for more or fewer, Unreachable."""
        self._silent = False
        digest, got = hashlib.sha256(), 0
        while not self._ended:
            chunk = await self._chunk()
            got += len(chunk)
            if got > size:
                break
            digest.update(chunk)
            spool.write(chunk)
        if got != size:
            raise InvalidArgument(
                f"the body has {'more' if got > size else 'fewer'} bytes than the {size} that were announced",
                field="content-length",
                remedy="Send the whole file again",
            )
        return digest.hexdigest()

    async def read_off(self) -> None:
        """Read a refused body, so far as that is cheap: a client that is writing it would not see the answer."""
        got = 0
        with contextlib.suppress(_HungUp, TimeoutError, Unreachable):
            async with asyncio.timeout(_READ_OFF_SECONDS):
                while not self._ended and not self._silent and got < _READ_OFF:
                    got += len(await self._chunk())

    async def _chunk(self) -> bytes:
        try:
            async with asyncio.timeout(SILENT_SECONDS):
                message: dict[str, Any] = dict(await self._receive())
        except TimeoutError as error:
            raise Unreachable("the upload stood still", remedy="Try again") from error
        if message["type"] == "http.disconnect":
            raise _HungUp
        self._ended = not message.get("more_body", False)
        return message.get("body", b"")


def _place(path: str) -> tuple[Pair, str]:
    """The claim and the name in ``/evidence/<work>/<attempt>/<claim>/<name>``. Raises NotFound for another path."""
    parts = path.removeprefix(PATH).split("/")
    if len(parts) != 4 or not parts[1].isascii() or not parts[1].isdigit() or len(parts[1]) > 9:
        raise NotFound("nothing lies at this path", remedy="Take the path that OpenEvidenceUpload answers")
    return Pair(parts[0], int(parts[1]), parts[2]), parts[3]


def _size(headers: dict[str, str]) -> int:
    length = headers.get("content-length", "")
    if not length.isascii() or not length.isdigit() or len(length) > 15:
        raise InvalidArgument("is not there", field="content-length", remedy="Send a file, whose size is known before")
    return int(length)
