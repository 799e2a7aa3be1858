"""Projection reads that a policy may declare for its runs: each a query of the read side, made within a deadline."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

READS: Mapping[str, str] = MappingProxyType(
    {
        "GetRepository": "the repository as it is now, and which gates its policy asks for",
        "GetChange": "the runs, artifacts and works that the change has had",
        "ListChanges": "what else is open in the repository",
        "ListReleases": "what was released last",
        "ListEnvironments": "what runs in which environment",
    }
)
"""By the query's name: what a run learns from it."""
