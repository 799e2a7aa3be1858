"""The pools of the event column's tests."""

from tests.events.conftest import pools

__all__ = ["pools"]
