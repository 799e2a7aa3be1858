"""A consent at the terminal: the very command is shown, its hash is made of what is shown, then the person is asked.

The answer goes to the Domain by the person's own token; the agent has no part in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import click

from ameide.cli.chat_content import difference, print_command, print_content, print_diff
from ameide.cli.output import at_a_terminal, clock, harmless, heading, say, word
from ameide.cli.session import Session
from ameide.contracts.subjects import command_hash
from ameide.errors import NotFound, Refused
from ameide.rpc.clients import Clients
from ameide_core_proto.agent.transformation.v1.architect_service_pb import ConsentWanted
from ameide_core_proto.transformation.governance.v1.command_service_pb import StartRunRequest
from ameide_core_proto.transformation.governance.v1.conversation_service_pb import DecideConsentRequest
from ameide_core_proto.transformation.governance.v1.governance_pb import Consent, ConsentAction, ConsentStatus
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetArtifactRequest, GetConsentRequest
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import ArtifactContent, ArtifactVersion
from ameide_core_proto.transformation.knowledge.v1.command_service_pb import (
    ReviseArtifactRequest,
    SubmitArtifactRequest,
)

Policy = Literal["ask", "give", "decline"]
_MEANING = {
    ConsentAction.OPEN_CHANGE: "open a change",
    ConsentAction.PROPOSE_ARTIFACT: "propose this as a draft",
    ConsentAction.REVISE_ARTIFACT: "replace the version by this one",
    ConsentAction.SUBMIT_ARTIFACT: "submit this: from then on a gate may approve it",
    ConsentAction.REQUEST_WORK: "ask for this work, which a runner does without writing to the repository",
    ConsentAction.START_RUN: "start this run",
}


@dataclass(frozen=True)
class Consents:
    """How one person answers: asked each time, or by a word given beforehand."""

    session: Session
    policy: Policy
    shown: bool = True
    """Whether what is to be agreed to is printed; a program reads it from the events."""

    async def decide(self, wanted: ConsentWanted) -> bool:
        """Whether the person has decided. Raises Refused for a command that is not the one that the consent binds."""
        consent = checked(wanted)
        async with self.session.connect() as clients:
            found = (
                await clients.queries.get_consent(
                    GetConsentRequest(scope=self.session.scope, consent_id=consent.consent_id)
                )
            ).consent
            if found is not None and found.status != ConsentStatus.ASKED:
                # It was decided before, here or elsewhere, and the answer was lost.
                return True
            if found is not None and found.subject_hash != consent.subject_hash:
                raise Refused(
                    "the agent shows another command than the one that it asked a consent for",
                    remedy=f"Do not agree to it; see `ameide conversation consents {consent.conversation_id}`",
                )
            if self.shown:
                await self._show(clients, wanted, consent)
            agreed = self._answer()
            if agreed is None:
                return False
            await clients.conversations.decide_consent(
                DecideConsentRequest(
                    scope=self.session.scope,
                    client_request_id=f"chat/{consent.consent_id}/{'give' if agreed else 'decline'}",
                    consent_id=consent.consent_id,
                    agree=agreed,
                    subject_hash=consent.subject_hash,
                )
            )
        if self.shown:
            say("You gave your consent." if agreed else "You declined.")
        return True

    async def _show(self, clients: Clients, wanted: ConsentWanted, consent: Consent) -> None:
        heading(f"The agent asks: may it {_MEANING.get(consent.action, word(consent.action.name))}?")
        click.echo(harmless(consent.summary))
        assert wanted.command is not None
        command = wanted.command.value
        print_command(command)
        if isinstance(command, ReviseArtifactRequest | SubmitArtifactRequest | StartRunRequest) and command.artifact_id:
            current = await self._current(clients, command.artifact_id)
            if not isinstance(command, ReviseArtifactRequest):
                _print_version(command, current)
            elif current.content is not None and command.content is not None:
                heading(f"Against version {current.number}")
                print_diff(difference(current.content, command.content))
        click.echo(f"  hash: {consent.subject_hash}")
        if consent.expires_at is not None:
            click.echo(f"  you can answer until {clock(consent.expires_at)}")

    async def _current(self, clients: Clients, artifact_id: str) -> ArtifactVersion:
        answer = await clients.queries.get_artifact(
            GetArtifactRequest(scope=self.session.scope, artifact_id=artifact_id)
        )
        current = answer.artifact.current if answer.artifact else None
        if current is None:
            raise NotFound(f"no artifact {artifact_id}", remedy="Decline, and ask the agent again")
        return current

    def _answer(self) -> bool | None:
        if self.policy != "ask":
            return self.policy == "give"
        if not at_a_terminal():
            return None
        choices = click.Choice(["give", "decline", "later"])
        answer = click.prompt("Your answer", type=choices, show_default=False, err=not self.shown)
        return None if answer == "later" else answer == "give"


def checked(wanted: ConsentWanted) -> Consent:
    """The consent, whose hash is that of the command beside it. Raises Refused otherwise."""
    consent, command = wanted.consent, wanted.command
    same = consent is not None and command is not None and command_hash(command.value) == consent.subject_hash
    if consent is None or command is None or not same or command.field != consent.action.name.lower():
        raise Refused(
            "the agent asks for a consent to something else than it shows",
            remedy="Do not agree to it. Ask again; if it stays so, agent and program are of different versions",
        )
    return consent


def _print_version(command: SubmitArtifactRequest | StartRunRequest, current: ArtifactVersion) -> None:
    if current.number != command.expected_number:
        click.echo(click.style(f"  There is a newer version, {current.number}; this one will be refused.", fg="yellow"))
        return
    heading(f"{command.artifact_id}@{current.number}")
    print_content(current.content or ArtifactContent())
    click.echo(f"  content hash: {current.content_hash}")
