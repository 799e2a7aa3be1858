"""What a thread carries from node to node and from turn to turn: plain values only, messages of the protocol as bytes.

A checkpoint is read back by whoever runs the agent next, so nothing in it is code or names any.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypedDict

from protobuf.wkt import Timestamp

from ameide.architect.records import Ledger
from ameide_core_proto.agent.transformation.v1.architect_service_pb import (
    CitedRecord,
    ConverseRequest,
    ConverseResponse,
    TranscriptEntry,
)
from ameide_core_proto.transformation.work.v1.work_pb import Usage

PERSON, AGENT = "person", "agent"


class Entry(TypedDict):
    """One entry of the transcript."""

    role: str
    text: str
    at: str
    turn_id: str
    cited: list[bytes]


class Talk(TypedDict):
    """The conversation. `messages` are those that the model is given, as LangChain spells them in JSON."""

    conversation_id: str
    repository_id: str
    change_id: str
    summary: str
    entries: list[Entry]
    messages: list[dict[str, object]]
    known: dict[str, list[object]]
    files: dict[str, list[list[int]]]
    position: int
    # Where untrusted text came from, as far as the Domain has been told.
    marked: list[str]
    # Artifacts that this conversation wrote, with their aggregates' versions; and its newest requirement.
    versions: dict[str, int]
    requirement: str


class Proposal(TypedDict):
    """A command that waits for a consent. `key` is its idempotency key, however often it is sent."""

    action: int
    summary: str
    command: bytes
    key: str
    consent_id: str


class Errand(TypedDict):
    """What was asked for and comes to commands, one after the other.

    `call_id` is the model's call, if it asked, and `model` the one that answered with it: a fallback perhaps.
    """

    instruction: bytes
    call_id: str
    model: str
    done: list[int]
    outcome: list[str]
    proposal: Proposal | None
    # Effected, of the commands so far.
    effects: list[bytes]
    # Nothing more is to come of it.
    ended: bool


class Turn(TypedDict):
    """The turn. `said` are its events so far; `effects` counts the commands, for their keys."""

    turn_id: str
    request: bytes
    at: str
    effects: int
    calls: int
    said: list[bytes]
    text: str
    numbers: dict[str, int]
    cited: list[bytes]
    usage: bytes
    # Used and read since the Domain was last told.
    unreported: bytes
    unmarked: list[str]
    not_found: list[str]
    # The model's calls of tools that are to be answered.
    pending: list[dict[str, object]]
    asks_model: bool
    waiting_work: str
    ended: bool


class State(TypedDict):
    """The channels of the graph. `inbox` is the request of a turn that begins."""

    inbox: bytes
    talk: Talk
    turn: Turn
    errand: Errand | None


def new_talk(conversation_id: str, repository_id: str, change_id: str) -> Talk:
    """Nothing was said yet."""
    return Talk(
        conversation_id=conversation_id,
        repository_id=repository_id,
        change_id=change_id,
        summary="",
        entries=[],
        messages=[],
        known={},
        files={},
        position=0,
        marked=[],
        versions={},
        requirement="",
    )


def new_turn(request: ConverseRequest) -> Turn:
    """A turn at its beginning; of an empty request none."""
    return Turn(
        turn_id=request.turn_id,
        request=request.to_binary(),
        at=datetime.now(UTC).isoformat(),
        effects=0,
        calls=0,
        said=[],
        text="",
        numbers={},
        cited=[],
        usage=b"",
        unreported=b"",
        unmarked=[],
        not_found=[],
        pending=[],
        asks_model=False,
        waiting_work="",
        ended=False,
    )


def request_of(turn: Turn) -> ConverseRequest:
    """What the person sent."""
    return ConverseRequest.from_binary(turn["request"])


def said_in(turn: Turn) -> list[ConverseResponse]:
    """The events of a turn so far, numbered."""
    events = [ConverseResponse.from_binary(event) for event in turn["said"]]
    for number, event in enumerate(events, start=1):
        event.seq = number
    return events


def ledger_of(talk: Talk) -> Ledger:
    """What the conversation has read."""
    known = {key: (str(label), int(str(position))) for key, (label, position) in talk["known"].items()}
    files = {place: [(first, last) for first, last in spans] for place, spans in talk["files"].items()}
    return Ledger(known, files, talk["position"])


def with_ledger(talk: Talk, ledger: Ledger) -> Talk:
    """The conversation, having read this."""
    return {
        **talk,
        "known": {key: [label, position] for key, (label, position) in ledger.known.items()},
        "files": {place: [[first, last] for first, last in spans] for place, spans in ledger.files.items()},
        "position": ledger.position,
    }


def added(before: bytes, usage: Usage) -> bytes:
    """Usage and more usage; the model's name is the last one."""
    total = Usage.from_binary(before)
    total.input_tokens += usage.input_tokens
    total.output_tokens += usage.output_tokens
    total.cached_input_tokens += usage.cached_input_tokens
    total.cost_micros += usage.cost_micros
    total.model = usage.model or total.model
    return total.to_binary()


def transcript_of(talk: Talk) -> list[TranscriptEntry]:
    """What was said, as the service tells it."""
    return [
        TranscriptEntry(
            role=entry["role"],
            text=entry["text"],
            at=Timestamp.from_datetime(datetime.fromisoformat(entry["at"])),
            turn_id=entry["turn_id"],
            cited=[CitedRecord.from_binary(record) for record in entry["cited"]],
        )
        for entry in talk["entries"]
    ]


def new_errand(instruction: bytes, call_id: str = "", model: str = "") -> Errand:
    """An errand of which nothing is done yet."""
    return Errand(
        instruction=instruction,
        call_id=call_id,
        model=model,
        done=[],
        outcome=[],
        proposal=None,
        effects=[],
        ended=False,
    )
