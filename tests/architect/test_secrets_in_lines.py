"""Credentials in a repository's files: neither a person nor another agent is told them, and no thread keeps them."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client

from ameide.architect.mcp.server import server_of
from ameide.architect.mcp.visit import Guest, Surroundings
from ameide.architect.outward import line_by_line
from ameide.infra.credentials import Credentials
from ameide.infra.reading.plumbing import Plumbing
from ameide.infra.reading.reader import MirrorReader
from ameide.infra.redaction import Redactor
from ameide.rpc.interceptors import Caller
from ameide.secret_shapes import MASK, masked
from ameide_core_proto.agent.transformation.v1.architect_service_pb import CitedRecord, ConverseRequest
from tests.architect.house import House, Talker
from tests.architect.mcp_world import text_of
from tests.architect.reading import NoEvidence
from tests.architect.test_secrets_in_turns import TOKEN, holding
from tests.tools.world import git

BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7"
PRIVATE = f"-----BEGIN PRIVATE KEY-----\n{BODY}\n{BODY[::-1]}\n-----END PRIVATE KEY-----"
FILE = f"# Hosts of shipments\nGITHUB={TOKEN}\n{PRIVATE}\nAFTER=1\n"


@pytest.fixture(scope="module")
def mirrors(house: House) -> Generator[MirrorReader]:
    """Reads the repository that the house has registered."""
    work = house.folder / "orders.git"
    work.mkdir()
    git(work, "init", "-q", "-b", "main")
    (work / "shipments.env").write_text(FILE)
    git(work, "add", "--all")
    git(work, "commit", "-q", "-m", "Start")
    folder = house.folder / "mirrors"
    yield MirrorReader(folder, Credentials(), {}, Plumbing())
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
async def masking(house: House, mirrors: MirrorReader) -> AsyncGenerator[Talker]:
    """The agent without a model, which masks as it does in its own process."""
    async with house.architect(house.agent(repositories=mirrors, redact=Redactor().text)) as talker:
        yield talker


async def test_the_lines_behind_a_citation_are_masked(house: House, masking: Talker) -> None:
    said = await masking.ask("Which GITHUB has shipments.env?", repository_id="orders")
    assert f"> GITHUB={MASK}" in said.text
    found = [one for one in said.of("cited") if isinstance(one, CitedRecord) and one.lines is not None]
    assert f"GITHUB={MASK}" in str([one.lines for one in found])
    for one in found:
        assert one.lines is not None
        assert one.lines.text.count("\n") == one.lines.last_line - one.lines.first_line
    assert TOKEN not in str(said.events)
    assert BODY not in str(said.events)
    assert not holding(house, TOKEN)


@pytest.mark.parametrize(
    ("tool", "arguments"), [("read_file", {"path": "shipments.env"}), ("search_files", {"text": "GITHUB"})]
)
async def test_another_agent_is_told_no_secret_of_a_file(
    house: House, mirrors: MirrorReader, tool: str, arguments: dict[str, Any]
) -> None:
    def guest_of(_ctx: object) -> Guest:
        caller = Caller("default", "requester", "PERSON", frozenset({"viewer", "requester"}))
        return Guest(caller, house.tokens["requester"])

    async with Client(server_of(Surroundings(house.address, mirrors, NoEvidence(), silent), guest_of)) as client:
        told = await client.call_tool(tool, {"repository_id": "orders", **arguments})
    assert not told.is_error, text_of(told)
    for text in (text_of(told), json.dumps(told.structured_content)):
        assert f"GITHUB={MASK}" in text
        assert TOKEN not in text
        assert BODY not in text
    [record] = told.structured_content["records"]
    lines = record["lines"]
    assert record["text"] == lines["text"]
    assert lines["text"].count("\n") == lines["last_line"] - lines["first_line"]
    if tool == "read_file":
        assert lines["text"].split("\n") == ["# Hosts of shipments", f"GITHUB={MASK}", *[MASK] * 4, "AFTER=1"]


async def silent(guest: Guest, request: ConverseRequest) -> AsyncGenerator[Any]:
    """Nobody is asked here."""
    raise AssertionError((guest, request))
    yield


PIECES = st.sampled_from(
    ["", "x = 1", f"GITHUB={TOKEN}", PRIVATE, f"key: {PRIVATE} # old", "-----BEGIN PRIVATE KEY-----"]
)


@given(st.lists(PIECES, max_size=8))
def test_masking_changes_no_line_s_number(pieces: list[str]) -> None:
    text = "\n".join(pieces)
    told = line_by_line(text, masked)
    assert told.count("\n") == text.count("\n")
    assert TOKEN not in told
    assert BODY not in told
    assert masked(told) == told
