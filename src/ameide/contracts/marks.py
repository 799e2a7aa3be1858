"""What people are told of a change that an agent had a hand in which read what anybody may have written."""

from __future__ import annotations

WARNING = (
    "An agent that talked about this change has read texts that anybody may have written. "
    "An instruction in one of them may have steered what it proposed."
)
