"""Tools over the query services: what they say is what was recorded, and each record has the key it is cited by."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator

import pytest

from ameide.architect.records import Ledger
from ameide.architect.tools.registry import TOOLS, granted
from ameide.architect.tools.rendering import for_model
from ameide_core_proto.common.v1.reading_pb import CitationKind
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetFactRequest
from tests.architect.reading import Desk, desk, only
from tests.conftest import Databases, SpineDatabase, spine
from tests.views.readers import Readers, opened
from tests.views.story import Story, told


@pytest.fixture(scope="module")
def told_in(databases: Databases) -> Iterator[SpineDatabase]:
    """One database for all that is read here."""
    yield from spine(databases)


@pytest.fixture(scope="module")
async def readers(told_in: SpineDatabase) -> AsyncGenerator[Readers]:
    """And one door."""
    async with opened(told_in) as found:
        yield found


@pytest.fixture(scope="module")
async def story(readers: Readers) -> Story:
    """What happened."""
    return await told(readers)


@pytest.fixture
async def viewer(story: Story) -> Desk:
    """Somebody who may read."""
    return desk(await story.readers.reader())


async def test_a_change_is_told_with_the_fact_that_it_rests_on(story: Story, viewer: Desk) -> None:
    record = only(await viewer.call("list_changes"))
    assert story.change_id in record.label
    assert record.citation.kind == CitationKind.DOMAIN_FACT
    fact = await viewer.ctx.clients.queries.get_fact(GetFactRequest(message_id=record.citation.ref))
    assert fact.entry is not None
    assert fact.entry.aggregate is not None
    assert fact.entry.aggregate.id == story.change_id
    assert fact.entry.log_position == record.log_position


async def test_each_gate_is_cited_by_its_own_fact(story: Story, viewer: Desk) -> None:
    answer = await viewer.call("list_gates", change_id=story.change_id)
    by_gate = {record.label.split()[1]: record for record in answer.records}
    assert set(by_gate) == {story.requirement.gate_id, story.acceptance.gate_id}
    for gate_id, record in by_gate.items():
        fact = await viewer.ctx.clients.queries.get_fact(GetFactRequest(message_id=record.citation.ref))
        assert fact.entry is not None
        assert fact.entry.aggregate is not None
        assert fact.entry.aggregate.id == gate_id


async def test_what_was_read_can_be_cited_and_nothing_else(story: Story, viewer: Desk) -> None:
    ledger = Ledger()
    answer = await viewer.call("get_gate", gate_id=story.acceptance.gate_id)
    ledger.note(answer.records)
    assert only(answer).key in ledger.known
    assert ledger.position == only(answer).log_position
    shown = for_model(answer)
    assert f"[[{only(answer).key}]]" in shown
    assert f"read at log position {answer.log_position}" in shown


async def test_what_is_not_there_is_said_to_be_not_found(viewer: Desk) -> None:
    answer = await viewer.call("get_gate", gate_id="gat-unknown")
    assert not answer.error
    [said] = answer.not_found
    assert "gat-unknown" in said


async def test_another_tenant_s_record_is_not_there(story: Story) -> None:
    other = desk(await story.readers.reader("other"))
    answer = await other.call("get_gate", gate_id=story.acceptance.gate_id)
    assert answer.not_found
    assert not answer.records


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("{", "no JSON"),
        ("[]", "JSON list"),
        ('{"gate_id": 7}', "gate_id: 7 is not of type 'string'"),
        ('{"gate": "gat-1"}', "'gate' was unexpected; known: gate_id"),
        ("{}", "'gate_id' is a required property"),
        ('{"gate_id": "' + "x" * 70_000 + '"}', "at most 65536 are taken"),
    ],
)
async def test_malformed_arguments_are_told_so_that_they_can_be_corrected(
    viewer: Desk, arguments: str, says: str
) -> None:
    answer = await viewer.raw("get_gate", arguments)
    assert says in answer.error
    assert not answer.records


async def test_an_unknown_tool_is_answered_with_those_that_there_are(viewer: Desk) -> None:
    answer = await viewer.call("run_shell", command="ls")
    assert "there is no tool 'run_shell'" in answer.error
    assert "get_change" in answer.error


async def test_tools_are_granted_by_role_and_by_turn(viewer: Desk) -> None:
    assert {tool.name for tool in granted(frozenset({"viewer"}))} <= set(TOOLS)
    assert granted(frozenset({"executor"})) == []
    nobody = viewer.about(roles=frozenset[str]())
    assert "not granted" in (await nobody.call("list_changes")).error


async def test_no_secret_is_told_of_what_was_asked(viewer: Desk) -> None:
    answer = await viewer.call("get_gate", gate_id="ghp_" + "a1B2" * 9)
    assert "[redacted]" in answer.asked
    assert "ghp_" not in answer.asked
