"""What may happen to an order. Kept in memory: the rules are the point of this service, not the storage."""

from __future__ import annotations

import threading
import uuid

from orders.v1.orders_pb import Line, Order, OrderStatus, PlaceOrderRequest


class OrderError(Exception):
    """A rule said no; `code` goes to the caller as `Problem.code`."""

    code = "invalid"


class UnknownOrder(OrderError):
    code = "not_found"


class NotAllowed(OrderError):
    code = "not_allowed"


class Orders:
    """All orders of this process. Safe to use from several threads."""

    def __init__(self) -> None:
        self._orders: dict[str, Order] = {}
        self._lock = threading.Lock()

    def place(self, request: PlaceOrderRequest) -> Order:
        if not request.customer:
            raise OrderError("customer: must be named")
        if not request.lines or any(line.quantity < 1 for line in request.lines):
            raise OrderError("lines: at least one, each with a quantity of 1 or more")
        lines = [Line(sku=line.sku, quantity=line.quantity) for line in request.lines]
        order = Order(order_id=uuid.uuid4().hex, customer=request.customer, lines=lines, status=OrderStatus.PLACED)
        with self._lock:
            self._orders[order.order_id] = order
        return order

    def get(self, order_id: str) -> Order:
        with self._lock:
            return self._find(order_id)

    def ship(self, order_id: str) -> Order:
        with self._lock:
            order = self._find(order_id)
            if order.status != OrderStatus.PLACED:
                raise NotAllowed(f"order {order_id} is {order.status.name.lower()} and cannot be shipped")
            order.status = OrderStatus.SHIPPED
            return order

    def _find(self, order_id: str) -> Order:
        order = self._orders.get(order_id)
        if order is None:
            raise UnknownOrder(f"there is no order {order_id}")
        return order
