"""What Process and Infra may assume of whatever carries facts and intents. Delivery is at least once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from ameide.errors import AmeideError
from ameide.events.messages import LoggedMessage


class FactStream(Protocol):
    """One consumer's place in the log's order. Of several streams of one consumer at most one at a time has a key: with
    PostgreSQL one is active for all keys, with Kafka each for those of its partitions."""

    async def activate(self) -> bool:
        """Become the active one, giving up what was fetched and not acknowledged; False while another one is active.

        Stay so until `release`. Raises Unreachable.
        """
        ...

    async def fetch(self, limit: int) -> list[LoggedMessage]:
        """The next messages behind the last acknowledged one, while active."""
        ...

    async def acknowledge(self, position: int) -> None:
        """Everything up to the position has had its effect. Durable at the latest with `release`."""
        ...

    async def wait(self, seconds: float) -> None:
        """Return when something may have arrived, or after about `seconds`."""
        ...

    async def release(self) -> None:
        """Let others be active, keeping what was acknowledged. In Kafka they are already, for their partitions."""
        ...

    async def close(self) -> None:
        """Be no member any more: others take over at once, also the partitions of this one."""
        ...


class Publisher(Protocol):
    """Says messages to whoever has subscribed to their topics, those of one key in order."""

    async def publish(self, messages: Sequence[LoggedMessage]) -> Sequence[AmeideError | None]:
        """An answer for each message once it is known: None when it is durable with the broker.

        Unreachable when that is not known; the message and all later ones of its key must be sent again. Refused when
        the broker will never take it; then all later ones of its key are refused as well, however good they are.
        """
        ...


Place = tuple[str, int]
"""A topic's name, and the number of one of its partitions."""


class GroupProgress(Protocol):
    """How far the consumer group of some topics has come."""

    async def ends(self) -> Mapping[Place, int]:
        """The offset that the next message of each partition will have. Raises Unreachable.

        Left out is a partition that the topic holds nothing of, unless the group had more to read in it: nobody will
        acknowledge anything there.
        """
        ...

    async def committed(self) -> Mapping[Place, int]:
        """The offset up to which the group has acknowledged; a partition of which it never did is left out.

        Raises Unreachable.
        """
        ...

    async def lag(self) -> int:
        """How many messages are there that the group has not acknowledged. Raises Unreachable."""
        ...


class Objects(Protocol):
    """A store of objects that are written once, named `store:<key>`."""

    async def put_if_absent(self, uri: str, data: bytes) -> None:
        """Write a new object; the same bytes again are fine. Raises Conflict for other bytes, Unreachable."""
        ...

    async def get(self, uri: str) -> bytes:
        """The bytes of an object. Raises NotFound, Unreachable."""
        ...


@dataclass(frozen=True, slots=True)
class Invitation:
    """An intent as a queue hands it out: come and claim this work."""

    queue: str
    tenant_id: str
    work_request_id: str
    dispatch: int


class Delivery(Protocol):
    """An invitation in hand, hidden from other consumers."""

    @property
    def invitation(self) -> Invitation: ...

    async def acknowledge(self) -> None:
        """The Domain has answered the claim: the invitation is used up."""
        ...


class IntentQueue(Protocol):
    """Point-to-point queues of execution intents, competed for by any number of consumers."""

    def receive(self, queues: Sequence[str]) -> AbstractAsyncContextManager[Delivery | None]:
        """The oldest free invitation of these queues, or None. Left without acknowledging, it is delivered again.

        Of Kafka's invitations one can be seen that lies at the front of a partition of this consumer's own.
        """
        ...

    async def close(self) -> None:
        """Receive no more: what was kept for this consumer goes to others at once."""
        ...
