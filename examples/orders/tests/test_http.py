from conftest import Call

ONE_BOOK = {"customer": "ada", "lines": [{"sku": "book", "quantity": 1}]}


def test_version_is_the_commit(call: Call) -> None:
    assert call("GET", "/version") == (200, {"version": "abc123"})


def test_place_fetch_and_ship(call: Call) -> None:
    status, order = call("POST", "/orders", ONE_BOOK)
    assert (status, order["status"]) == (201, "ORDER_STATUS_PLACED")
    path = f"/orders/{order['orderId']}"
    assert call("GET", path) == (200, order)
    assert call("POST", f"{path}/ship")[1]["status"] == "ORDER_STATUS_SHIPPED"
    assert call("POST", f"{path}/ship")[0] == 409


def test_a_malformed_body_is_a_problem(call: Call) -> None:
    status, problem = call("POST", "/orders", {"nobody": 1})
    assert (status, problem["code"]) == (400, "invalid")


def test_an_unknown_order_is_not_found(call: Call) -> None:
    assert call("GET", "/orders/none")[0] == 404
    assert call("GET", "/elsewhere")[0] == 404
