"""One turn as the nodes see it: for whom it is, what it reaches, and how it says what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from protobuf import Oneof

from ameide.architect.agent import Agent, Said
from ameide.architect.outward import cited_without_secrets
from ameide.architect.state import State, Talk, Turn, ledger_of, request_of, with_ledger
from ameide.architect.tools.tool import ToolAnswer, ToolContext
from ameide.rpc.clients import Clients
from ameide_core_proto.agent.transformation.v1.architect_service_pb import (
    CitedRecord,
    ConverseResponse,
    FileLines,
    Notice,
    NoticeKind,
    ToolUsed,
    Voided,
)
from ameide_core_proto.common.v1.metadata_pb import Scope
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetRepositoryRequest


@dataclass(frozen=True, slots=True)
class Course:
    """What a turn runs on: the agent, and clients that speak for the person. Never a part of a checkpoint."""

    agent: Agent
    clients: Clients
    scope: Scope
    person: str
    roles: frozenset[str]

    def reading(self, state: State) -> ToolContext:
        """What tools are called with."""
        talk = state["talk"]
        return ToolContext(
            clients=self.clients,
            scope=self.scope,
            roles=self.roles,
            repositories=self.agent.repositories,
            evidence=self.agent.evidence,
            repository_id=talk["repository_id"],
            change_id=talk["change_id"],
            min_position=talk["position"],
            read_only=request_of(state["turn"]).read_only,
        )

    async def lines(self, repository_id: str, commit_sha: str, path: str, first: int, last: int) -> FileLines:
        """The bytes of lines at a commit."""
        found = await self.clients.queries.get_repository(
            GetRepositoryRequest(scope=self.scope, repository_id=repository_id)
        )
        assert found.repository is not None
        return await self.agent.repositories.read(found.repository, commit_sha, path, first, last)


class Saying:
    """Tells the person at once, and keeps what was told for the turn's state."""

    def __init__(self, turn: Turn, tell: Callable[[object], None], redact: Callable[[str], str]) -> None:
        self._tell = tell
        self._redact = redact
        self._said: list[bytes] = []
        self._cited: list[bytes] = []
        self._text: list[str] = []
        self._turn = turn
        self._since = 0

    def event(self, field: str, value: object) -> None:
        """One event of `ConverseResponse`."""
        event = ConverseResponse(event=Oneof(field, value))  # pyright: ignore[reportArgumentType]
        self._said.append(event.to_binary())
        self._tell(event)

    def notice(self, kind: NoticeKind, text: str) -> None:
        """Something that the person must know about the turn."""
        self.event("notice", Notice(kind=kind, text=self._redact(text)))

    def pieces(self, pieces: Iterable[Said]) -> None:
        """Checked speech."""
        for piece in pieces:
            if isinstance(piece, str):
                if piece:
                    text = self._redact(piece)
                    self._text.append(text)
                    self.event("text", text)
            elif isinstance(piece, CitedRecord):
                cited = cited_without_secrets(piece, self._redact)
                self._cited.append(cited.to_binary())
                self.event("cited", cited)
            else:
                self.notice(piece.kind, piece.text)

    def void(self) -> None:
        """Text and citations so far stand no more; whoever collects them is told from which event on."""
        spoken, since = bool(self._text or self._cited), self._since
        self._text.clear()
        self._cited.clear()
        if spoken:
            self.event("voided", Voided(from_seq=len(self._turn["said"]) + since + 1))
        self._since = len(self._said)

    def turn(self) -> Turn:
        """The turn, having said this."""
        before = self._turn
        return {
            **before,
            "said": before["said"] + self._said,
            "cited": before["cited"] + self._cited,
            "text": before["text"] + "".join(self._text),
        }


def used(saying: Saying, name: str, answer: ToolAnswer, redact: Callable[[str], str]) -> None:
    """Say that a tool was used."""
    saying.event(
        "tool_used",
        ToolUsed(
            name=name,
            asked=redact(answer.asked),
            found=len(answer.records),
            log_position=answer.log_position,
            error=redact(answer.error),
        ),
    )


def noted(talk: Talk, turn: Turn, answers: Iterable[ToolAnswer]) -> tuple[Talk, Turn]:
    """The conversation and the turn, having read this; what is untrusted is to be told to the Domain."""
    ledger = ledger_of(talk)
    unmarked, missing = list(turn["unmarked"]), list(turn["not_found"])
    for answer in answers:
        ledger.note(answer.records)
        ledger.position = max(ledger.position, answer.log_position)
        unmarked += [ref for ref in answer.untrusted if ref not in unmarked and ref not in talk["marked"]]
        missing += [what for what in answer.not_found if what not in missing]
    return with_ledger(talk, ledger), {**turn, "unmarked": unmarked, "not_found": missing[:50]}
