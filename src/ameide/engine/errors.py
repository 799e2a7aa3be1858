"""What can go wrong with an embedded engine, each said with the remedy."""


class EngineError(Exception):
    """An embedded engine could not be installed, started or stopped; the text names the cause and what to do."""


class InstallError(EngineError):
    """The Temporal server could not be built. What was downloaded and compiled is kept: the next attempt goes on from there."""


class StartError(EngineError):
    """An engine did not come up; the text quotes the end of its log."""


class StateError(EngineError):
    """The state folder cannot be used as it is, and repairing it alone would lose data."""
