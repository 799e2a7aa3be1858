"""The HTTP face of the service: JSON in the protobuf mapping, a `Problem` for everything that isn't a success."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from orders.v1.orders_pb import Order, PlaceOrderRequest, Problem

from orders_service.store import OrderError, Orders

STATUS = {"invalid": 400, "not_found": 404, "not_allowed": 409}
MAX_BODY = 1 << 20


class Server(ThreadingHTTPServer):
    """Serves one `Orders`; `version` is what `/version` answers."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], orders: Orders, version: str) -> None:
        super().__init__(address, Handler)
        self.orders = orders
        self.version = version


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        match self.path.strip("/").split("/"):
            case ["version"]:
                self._answer(200, json.dumps({"version": self.server.version}))
            case ["orders", order_id]:
                self._order(lambda: self.server.orders.get(order_id))
            case _:
                self._problem("not_found", f"nothing is at {self.path}")

    def do_POST(self) -> None:
        match self.path.strip("/").split("/"):
            case ["orders"]:
                self._order(self._place, success=201)
            case ["orders", order_id, "ship"]:
                self._order(lambda: self.server.orders.ship(order_id))
            case _:
                self._problem("not_found", f"nothing is at {self.path}")

    def _place(self) -> Order:
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY:
            raise OrderError(f"the body may have {MAX_BODY} bytes")
        try:
            request = PlaceOrderRequest.from_json(self.rfile.read(length).decode())
        except ValueError as error:
            raise OrderError(f"the body is no PlaceOrderRequest: {error}") from error
        return self.server.orders.place(request)

    def _order(self, act: Callable[[], Order], success: int = 200) -> None:
        try:
            order = act()
        except OrderError as error:
            self._problem(error.code, str(error))
        else:
            self._answer(success, order.to_json())

    def _problem(self, code: str, message: str) -> None:
        self._answer(STATUS[code], Problem(code=code, message=message).to_json())

    def _answer(self, status: int, body: str) -> None:
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Requests aren't logged; a proxy in front of the service does that."""
