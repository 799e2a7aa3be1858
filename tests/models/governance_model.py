"""A change, its requirement and its runs as the contract tells it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class VersionModel:
    """One version of the requirement. Its text never changes."""

    text: str
    status: str = "draft"


@dataclass
class RequirementModel:
    """Immutable versions; the newest is the current one."""

    versions: list[VersionModel]
    facts: int = 1

    @property
    def current(self) -> VersionModel:
        """The newest version."""
        return self.versions[-1]

    def revise(self, text: str) -> None:
        """A further version."""
        self.current.status = "superseded"
        self.versions.append(VersionModel(text))
        self.facts += 1

    def become(self, status: str) -> None:
        """Proposed by its author; approved or rejected by its gate."""
        self.current.status = status
        self.facts += 1


@dataclass
class RunModel:
    """One run. `bound` is the text that it was started with."""

    bound: str
    status: str = "open"
    cancel_requested: bool = False
    facts: int = 1


@dataclass
class ChangeModel:
    """A change; at most one of its runs is open."""

    status: str = "open"
    runs: list[RunModel] = field(default_factory=list[RunModel])
    facts: int = 1

    @property
    def open_run(self) -> RunModel | None:
        """The run that is under way."""
        return self.runs[-1] if self.runs and self.runs[-1].status == "open" else None

    def become(self, status: str) -> None:
        """Canceled or closed, for ever."""
        self.status = status
        self.facts += 1
