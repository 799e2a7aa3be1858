"""How far a consumer group has come, as the brokers know it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar, cast

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # pyright: ignore[reportPrivateImportUsage]

from ameide.errors import Unreachable
from ameide.events.backends.kafka.connection import KafkaConnection, made, reason_of, unreachable
from ameide.events.ports import Place

T = TypeVar("T")
PATIENCE_SECONDS = 5.0
_DOING = "Kafka did not say how far its consumers are"


class Group:
    """The progress of one group in some topics; see `GroupProgress`. It does not join the group.

    Nothing is connected before the first question, and each takes `patience` seconds at most.

    Of all clients of the library only a consumer may ask for the offsets of a group: an AdminClient ends the process
    when the group's coordinator has just moved (librdkafka issue 5040).
    """

    def __init__(
        self, connection: KafkaConnection, group: str, topics: Sequence[str], *, patience: float = PATIENCE_SECONDS
    ) -> None:
        self._connection = connection
        self._name = group
        self._topics = topics
        self._patience = patience
        self._admin: AdminClient | None = None
        self._reader: Consumer | None = None
        # A client of the library is made by one question at a time.
        self._one_at_a_time = asyncio.Lock()

    async def ends(self) -> dict[Place, int]:
        """See `GroupProgress.ends`. Unreachable, too, while a topic is not there: then nobody has passed anything."""

        def look() -> dict[Place, int]:
            begins, ends, done = self._look()
            return {place: end for place, end in ends.items() if min(begins[place], done.get(place, end)) < end}

        return await self._ask(look)

    async def committed(self) -> dict[Place, int]:
        """See `GroupProgress.committed`."""
        return await self._ask(lambda: self._committed(self._places()))

    async def lag(self) -> int:
        """Messages that are there and that the group has not acknowledged. Raises Unreachable."""

        def look() -> int:
            begins, ends, done = self._look()
            return sum(max(0, end - max(done.get(place, 0), begins[place])) for place, end in ends.items())

        return await self._ask(look)

    def _look(self) -> tuple[dict[Place, int], dict[Place, int], dict[Place, int]]:
        """The first offset that is there, the next one to come, and the one that the group goes on from."""
        places = self._places()
        begins = self._offsets(places, cast("object", OffsetSpec.earliest()))
        ends = self._offsets(places, cast("object", OffsetSpec.latest()))
        return begins, ends, self._committed(places)

    async def _ask(self, question: Callable[[], T]) -> T:
        async with self._one_at_a_time:
            try:
                return await asyncio.to_thread(question)
            except KafkaException as error:
                raise unreachable(reason_of(error), _DOING) from error

    def _places(self) -> list[Place]:
        there = self._client().list_topics(timeout=self._patience).topics
        if missing := sorted(set(self._topics) - there.keys()):
            raise Unreachable(f"Kafka has no topic {', '.join(missing)}", remedy="A forwarder makes it when it starts")
        return [(name, number) for name in self._topics for number in sorted(there[name].partitions)]

    def _client(self) -> AdminClient:
        if self._admin is None:
            self._admin = made(lambda: AdminClient(self._connection.options()))
        return self._admin

    def _offsets(self, places: Sequence[Place], of: object) -> dict[Place, int]:
        ask = cast("Callable[..., Mapping[TopicPartition, Future[Any]]]", self._client().list_offsets)  # pyright: ignore[reportUnknownMemberType]
        answers = ask({TopicPartition(*place): of for place in places}, request_timeout=self._patience)
        return {(place.topic, place.partition): int(answer.result().offset) for place, answer in answers.items()}

    def _committed(self, places: Sequence[Place]) -> dict[Place, int]:
        if self._reader is None:
            options = self._connection.options() | {"group.id": self._name, "enable.auto.commit": False}
            self._reader = made(lambda: Consumer(cast("dict[str, Any]", options)))
        found = self._reader.committed([TopicPartition(*place) for place in places], timeout=self._patience)
        return {(place.topic, place.partition): place.offset for place in found if place.offset >= 0}
