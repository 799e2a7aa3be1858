"""The port: pull requests of a repository, named by its URL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from ameide.errors import AmeideError


class PullState(Enum):
    """Where a pull request stands."""

    OPEN = "open"
    MERGED = "merged"
    CLOSED = "closed"


@dataclass(frozen=True)
class PullRequest:
    """A pull request. `head_sha` is the commit it proposes; `merge_commit_sha` the one that the target moved to.

    Empty until then.
    """

    number: int
    url: str
    title: str
    body: str
    head: str
    head_sha: str
    target: str
    state: PullState = PullState.OPEN
    merge_commit_sha: str = ""


class ForgeError(AmeideError):
    """The forge did not do what was asked. The message says what and names the remedy."""


class MergeRefused(ForgeError):
    """The pull request stays open.

    `reason` is PROTECTED (a person merges), MOVED (the head or target is another) or CONFLICT.
    """


class Forge(Protocol):
    """What a promotion needs of a forge. `repository` is the repository's URL."""

    async def open_pull(self, repository: str, *, head: str, target: str, title: str, body: str) -> PullRequest:
        """The open pull request from branch `head` into `target`, opened when there is none."""
        ...

    async def get_pull(self, repository: str, number: int) -> PullRequest:
        """A pull request as it is now. Raises `ForgeError` for an unknown number."""
        ...

    async def find_pulls(self, repository: str, *, head: str = "") -> Sequence[PullRequest]:
        """The pull requests (of branch `head`), newest first."""
        ...

    async def merge_pull(self, repository: str, number: int, *, head_sha: str) -> PullRequest:
        """Merge exactly that head. Merged already is a success. Raises `MergeRefused`."""
        ...

    async def close_pull(self, repository: str, number: int) -> PullRequest:
        """Close it without merging; closed already is a success."""
        ...
