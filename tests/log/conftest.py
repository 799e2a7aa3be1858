"""The fixtures of the event column and of the read side, for tests of the whole log."""

from tests.events.conftest import pools
from tests.views.conftest import readers

__all__ = ["pools", "readers"]
