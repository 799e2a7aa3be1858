"""What an examination found."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Verdict:
    """Each line names what it is about: ids, positions, versions. `unquiet` is what did not come to rest in time."""

    lost: list[str] = field(default_factory=list[str])
    doubled: list[str] = field(default_factory=list[str])
    unquiet: list[str] = field(default_factory=list[str])

    @property
    def ok(self) -> bool:
        """Nothing lost, nothing doubled, everything at rest."""
        return not (self.lost or self.doubled or self.unquiet)

    @property
    def lines(self) -> list[str]:
        """The findings as people read them."""
        groups = (("lost", self.lost), ("doubled", self.doubled), ("unquiet", self.unquiet))
        return [f"{name}: {line}" for name, lines in groups for line in lines]
