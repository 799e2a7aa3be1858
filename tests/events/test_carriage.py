"""What goes by Kafka can change at any moment: somebody always has each message."""

from __future__ import annotations

from dataclasses import dataclass, field

from ameide.contracts import topics
from ameide.contracts.transports import Transports
from ameide.events.carriage import FORWARDER, adopt, carry, topics_of
from ameide.events.log import read
from ameide.events.parking import Parking
from ameide.events.ports import Place
from ameide.events.wakeups import Wakeups
from ameide.events.watermark import Watermark
from ameide.storage.db import Database
from tests.events.conftest import Pools
from tests.events.messages import fact, intent, relay_of, say

FACTS = topics_of(Transports(facts_on_kafka=True))
CODER = frozenset((topics.QUEUE_CODER,))


async def places(db: Database) -> dict[str, int]:
    async with db.transaction(None) as tx:
        return {row["name"]: row["position"] for row in await tx.fetch_all("SELECT name, position FROM ameide.cursor")}


async def put(pools: Pools, name: str, position: int) -> None:
    async with (await pools.admin()).transaction(None) as tx:
        await tx.execute("UPDATE ameide.cursor SET position = %s WHERE name = %s", (position, name))


async def test_the_forwarder_begins_where_those_it_replaces_have_come_to(pools: Pools) -> None:
    app, relay, ingress = [await pools.role(name) for name in ("ameide_app", "ameide_relay", "ameide_ingress")]
    assert await carry(relay, ()) == []
    await say(app, relay_of(relay), *(fact("w1", version) for version in range(1, 6)))
    await put(pools, "ingress", 3)
    # Invitations up to here are rows of the queue.
    assert await carry(relay, CODER) == [topics.QUEUE_CODER]
    assert (await places(ingress))[FORWARDER] == 5
    assert await carry(ingress, CODER) == []
    # Facts behind the third were signalled by nobody.
    assert await carry(ingress, CODER | FACTS) == sorted(FACTS)
    assert (await places(ingress))[FORWARDER] == 3
    await put(pools, FORWARDER, 4)
    assert await carry(relay, CODER | FACTS) == []
    assert (await places(ingress))[FORWARDER] == 4
    assert await carry(relay, FACTS) == [topics.QUEUE_CODER]
    assert (await places(ingress))[FORWARDER] == 4
    await carry(relay, ())
    assert FORWARDER not in await places(ingress)


async def test_what_the_forwarder_had_set_aside_is_the_ingress_to_deliver(pools: Pools) -> None:
    app, relay, ingress = [await pools.role(name) for name in ("ameide_app", "ameide_relay", "ameide_ingress")]
    await carry(relay, FACTS | CODER)
    await say(app, relay_of(relay, CODER), fact("w1", 1, run="r2r/1"), fact("w1", 2, run="r2r/1"), intent("w1"))
    parking = Parking(FORWARDER)
    async with ingress.transaction(None) as tx:
        for message in await read(tx, 0, 10):
            await parking.park(tx, message, message.key, "too large")
    assert await adopt(ingress) == 2
    async with ingress.transaction(None) as tx:
        assert [one.position for one in await Parking("ingress").released(tx, 10)] == [1, 2]
        assert (await Parking("ingress").keys(tx)).released == {"acme:r2r/1"}
    assert await adopt(ingress) == 0


@dataclass
class Group:
    """A consumer group of two partitions."""

    end: dict[Place, int] = field(default_factory=lambda: {("t", 0): 0, ("t", 1): 0})
    done: dict[Place, int] = field(default_factory=dict[Place, int])
    looks: int = 0

    async def ends(self) -> dict[Place, int]:
        self.looks += 1
        return dict(self.end)

    async def committed(self) -> dict[Place, int]:
        self.looks += 1
        return dict(self.done)

    async def lag(self) -> int:
        return sum(end - self.done.get(place, 0) for place, end in self.end.items())


async def test_the_ingress_has_passed_what_its_group_has(pools: Pools) -> None:
    app, relay, ingress = [await pools.role(name) for name in ("ameide_app", "ameide_relay", "ameide_ingress")]
    await carry(relay, FACTS)
    await say(app, relay_of(relay), *(fact("w1", version) for version in range(1, 6)))
    group = Group()
    watermark = Watermark(ingress, group, "ingress", Wakeups())
    # Nothing was forwarded yet.
    assert await watermark.step() is None
    assert group.looks == 0
    await put(pools, FORWARDER, 3)
    group.end[("t", 1)] = 3
    assert await watermark.step() is None
    # More comes meanwhile, and does not keep the group from having passed the third.
    await put(pools, FORWARDER, 5)
    group.end[("t", 1)] = 5
    group.done[("t", 1)] = 2
    assert await watermark.step() is None
    group.done[("t", 1)] = 4
    assert await watermark.step() == 3
    assert await watermark.step() is None
    group.done[("t", 1)] = 5
    assert await watermark.step() == 5
    assert (await places(ingress))["ingress"] == 5
    looks = group.looks
    assert await watermark.step() is None
    assert group.looks == looks


async def test_a_place_only_rises(pools: Pools) -> None:
    app, relay, ingress = [await pools.role(name) for name in ("ameide_app", "ameide_relay", "ameide_ingress")]
    await carry(relay, FACTS)
    await say(app, relay_of(relay), *(fact("w1", version) for version in range(1, 6)))
    await put(pools, FORWARDER, 3)
    group = Group()
    watermark = Watermark(ingress, group, "ingress", Wakeups())
    group.end[("t", 0)] = 3
    assert await watermark.step() is None
    # An ingress that still reads the log is further by now.
    await put(pools, "ingress", 4)
    group.done[("t", 0)] = 3
    assert await watermark.step() is None
    assert (await places(ingress))["ingress"] == 4


async def test_a_place_is_left_alone_once_facts_go_by_the_log_again(pools: Pools) -> None:
    app, relay, ingress = [await pools.role(name) for name in ("ameide_app", "ameide_relay", "ameide_ingress")]
    await carry(relay, FACTS | CODER)
    # Of a forwarder that still runs with the settings of before, while a newer one carries the queue alone.
    group = Group()
    watermark = Watermark(ingress, group, "ingress", Wakeups())
    await carry(relay, CODER)
    await say(app, relay_of(relay, CODER), *(fact("w1", version) for version in range(1, 6)))
    await put(pools, FORWARDER, 5)
    assert await watermark.step() is None
    assert (await places(ingress))["ingress"] == 0
