"""What can go wrong with an embedded engine, each said with the remedy."""

from ameide.errors import AmeideError


class EngineError(AmeideError):
    """An embedded engine could not be installed, started or stopped; the text names the cause and what to do."""

    code = "unavailable"


class InstallError(EngineError):
    """The Temporal server could not be built. What was compiled so far is kept: the next attempt goes on from there."""


class StartError(EngineError):
    """An engine did not come up; the text quotes the end of its log."""


class StateError(EngineError):
    """The state folder cannot be used as it is, and repairing it alone would lose data."""
