import pytest
from orders.v1.orders_pb import Line, OrderStatus, PlaceOrderRequest

from orders_service.store import NotAllowed, OrderError, Orders, UnknownOrder

ONE_BOOK = PlaceOrderRequest(customer="ada", lines=[Line(sku="book", quantity=1)])


def test_a_placed_order_is_found_again(orders: Orders) -> None:
    order = orders.place(ONE_BOOK)
    assert orders.get(order.order_id).customer == "ada"
    assert order.status == OrderStatus.PLACED


def test_an_order_needs_lines(orders: Orders) -> None:
    with pytest.raises(OrderError, match="lines"):
        orders.place(PlaceOrderRequest(customer="ada"))


def test_an_order_needs_a_customer(orders: Orders) -> None:
    with pytest.raises(OrderError, match="customer"):
        orders.place(PlaceOrderRequest(lines=[Line(sku="book", quantity=1)]))


@pytest.mark.parametrize("quantity", [0, -1])
def test_quantities_are_positive(orders: Orders, quantity: int) -> None:
    with pytest.raises(OrderError, match="quantity"):
        orders.place(PlaceOrderRequest(customer="ada", lines=[Line(sku="book", quantity=quantity)]))


def test_an_order_ships_once(orders: Orders) -> None:
    order = orders.place(ONE_BOOK)
    assert orders.ship(order.order_id).status == OrderStatus.SHIPPED
    with pytest.raises(NotAllowed, match="shipped"):
        orders.ship(order.order_id)


def test_an_unknown_order_is_refused(orders: Orders) -> None:
    with pytest.raises(UnknownOrder):
        orders.get("nobody")
