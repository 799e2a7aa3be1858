"""The agent is killed at each effect; somebody else goes on with the turn, and nothing happens twice."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import pytest

from ameide.errors import AmeideError
from ameide_core_proto.agent.transformation.v1.architect_service_pb import ConverseRequest, OpenChangeInstruction
from tests.architect.house import House, Process, Talker, key

POINTS = (
    *(f"architect.{what}.{where}" for what in ("open", "record", "ask", "act") for where in ("before", "after")),
    "architect.turn.after",
)


@pytest.fixture(scope="module")
async def doomed(house: House) -> AsyncGenerator[dict[str, Process]]:
    """A process for each point, which kills itself there."""
    async with AsyncExitStack() as stack:
        started = await asyncio.gather(
            *(stack.enter_async_context(house.architect_process(crash_at=point)) for point in POINTS)
        )
        yield dict(zip(POINTS, started, strict=True))


def kept(house: House, kind: str, words: str) -> int:
    """How many aggregates of a kind have these words in them."""
    found = house.sql(
        "SELECT count(*) AS n FROM ameide.aggregate WHERE kind = %s AND position(%s IN encode(state, 'escape')) > 0",
        kind,
        words,
    )
    return int(found[0]["n"])


async def killed_by(process: Process, request: ConverseRequest) -> None:
    """Send a turn that the process does not survive."""
    with pytest.raises(AmeideError):
        await process.talker.send(request)
    async with asyncio.timeout(30):
        await process.child.ended.wait()
    assert process.child.killed, process.child.tail()


@pytest.mark.parametrize("point", POINTS)
async def test_a_turn_goes_on_where_it_was(
    house: House, architect: Talker, doomed: dict[str, Process], point: str
) -> None:
    process, title = doomed[point], f"Killed at {point} {key()[:6]}"
    conversations = kept(house, "conversation", "")
    request = architect.request(("open_change", OpenChangeInstruction(title=title)), repository_id="orders")
    if "act" not in point.split("."):
        await killed_by(process, request)
        said = await architect.send(request)
        follow = await architect.decide(said)
    else:
        said = await process.talker.send(request)
        follow = await process.talker.decide(said)
        await killed_by(process, follow)
    done = await architect.send(follow)
    [effected] = done.of("effected")
    assert effected.idempotent_replay == (point == "architect.act.after")
    assert not done.ended.waiting_for_consent_id
    # One conversation, one question, one change.
    assert kept(house, "conversation", "") == conversations + 1
    assert kept(house, "conversation", effected.change_id) == 1
    assert kept(house, "consent", f"Open a change on orders: {title}") == 1
    assert kept(house, "change", title) == 1


async def test_an_effect_is_not_lost_with_its_turn(house: House, architect: Talker) -> None:
    title = f"Agreed to {key()[:6]}"
    request = architect.request(("open_change", OpenChangeInstruction(title=title)), repository_id="orders")
    async with house.architect_process(crash_at="architect.act.before") as process:
        said = await process.talker.send(request)
        await killed_by(process, await process.talker.decide(said))
    # The person asks for something else instead of sending the turn again.
    other = await architect.ask("And what is new?", conversation_id=said.conversation_id)
    assert other.of("began")[0].change_id.startswith("chg-")
    assert kept(house, "change", title) == 1
