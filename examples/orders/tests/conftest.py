from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from orders_service.server import Server
from orders_service.store import Orders

Call = Callable[..., tuple[int, dict[str, object]]]


@pytest.fixture
def orders() -> Orders:
    return Orders()


@pytest.fixture
def call(orders: Orders) -> Iterator[Call]:
    """`call("POST", "/orders", {...})` → (status, JSON body), against a real server on a free port."""
    with Server(("127.0.0.1", 0), orders, "abc123") as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()

        def call(method: str, path: str, body: object = None) -> tuple[int, dict[str, object]]:
            data = None if body is None else json.dumps(body).encode()
            request = urllib.request.Request(f"http://127.0.0.1:{server.server_port}{path}", data, method=method)
            try:
                with urllib.request.urlopen(request, timeout=5) as response:
                    return response.status, json.load(response)
            except urllib.error.HTTPError as error:
                return error.code, json.load(error)

        yield call
        server.shutdown()
        thread.join()
