"""`ameide conversation`: what was said with the Architect agent, what it read, and what people agreed to."""

from __future__ import annotations

import asyncio

import click

from ameide.cli.chat_memory import Memory
from ameide.cli.conversation_view import print_conversations, print_marks
from ameide.cli.options import as_json, change_filter, quiet
from ameide.cli.output import at_a_terminal, clock, coloured, emit_json, facts, harmless, heading, say, table, word
from ameide.cli.session import Session, every_page, pass_session
from ameide.errors import AmeideError, NotFound, Unreachable
from ameide_core_proto.agent.transformation.v1.architect_service_pb import (
    ForgetConversationRequest,
    GetTranscriptRequest,
    GetTranscriptResponse,
)
from ameide_core_proto.transformation.governance.v1.governance_pb import Consent
from ameide_core_proto.transformation.governance.v1.query_service_pb import (
    GetConversationRequest,
    GetConversationResponse,
    ListConversationsRequest,
)


@click.group()
def conversation() -> None:
    """Conversations with the Architect agent: what was said, read and agreed to."""


@conversation.command("list")
@change_filter
@click.option("--repo", "repository_id", metavar="NAME", default="", help="Only about this repository.")
@as_json
@quiet
@pass_session
def list_(session: Session, change_id: str, repository_id: str, as_json: bool, quiet: bool) -> None:
    """The conversations of all people, newest first."""
    answer = session.call(
        lambda clients: every_page(
            lambda page: clients.queries.list_conversations(
                ListConversationsRequest(
                    scope=session.scope, change_id=change_id, repository_id=repository_id, page=page
                )
            ),
            "conversations",
        )
    )
    if as_json:
        emit_json(answer)
    elif quiet:
        for found in answer.conversations:
            click.echo(found.conversation_id)
    elif answer.conversations:
        print_conversations(answer.conversations)
    else:
        click.echo("No conversation yet. Begin one: ameide chat")


@conversation.command()
@click.argument("conversation_id", metavar="CONVERSATION")
@as_json
@pass_session
def show(session: Session, conversation_id: str, as_json: bool) -> None:
    """What was said in a conversation, and the mark. With --json what was said, as the agent keeps it."""
    found = _get(session, conversation_id)
    said, missing = _transcript(session, conversation_id)
    if as_json:
        if missing is not None:
            raise missing
        emit_json(said)
        return
    record = found.conversation
    if record is not None:
        print_conversations([record])
        print_marks([record] if record.untrusted_count else [])
    if missing is not None:
        say(f"What was said is not to be had: {harmless(str(missing))}")
    if said.summary:
        heading("Before, in short")
        _print_text(said.summary)
    for entry in said.entries:
        heading(f"{clock(entry.at)} {harmless(entry.role)}")
        _print_text(entry.text)
        for cited in entry.cited:
            ref = cited.citation.ref if cited.citation else ""
            click.echo(click.style(f"[{cited.number}] {harmless(cited.label)} {harmless(ref)}", dim=True))
    waiting = [consent for consent in found.consents if word(consent.status.name) == "asked"]
    if waiting:
        heading(f"It waits for your answer: ameide chat --conversation {conversation_id}")
        _print_consent(waiting[-1])


@conversation.command()
@click.argument("conversation_id", metavar="CONVERSATION")
@as_json
@pass_session
def consents(session: Session, conversation_id: str, as_json: bool) -> None:
    """What the agent asked a person for in a conversation, and the answers."""
    found = _get(session, conversation_id)
    if as_json:
        emit_json(found)
        return
    table(
        ("CONSENT", "TO", "STATUS", "ASKED", "ANSWERED", "BY", "SUMMARY"),
        [
            (
                consent.consent_id,
                word(consent.action.name),
                coloured(word(consent.status.name)),
                clock(consent.asked_at),
                clock(consent.decided_at),
                consent.decided_by.principal_id if consent.decided_by else "",
                harmless(consent.summary),
            )
            for consent in found.consents
        ],
        empty="The agent has asked for nothing.",
    )


@conversation.command()
@click.argument("conversation_id", metavar="CONVERSATION")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@pass_session
def forget(session: Session, conversation_id: str, yes: bool) -> None:
    """Delete what was said, for good. Its records stay: that it was, what it used and read, what was agreed to."""
    if not yes:
        if not at_a_terminal():
            raise click.UsageError("--yes is needed: nobody can be asked here.")
        click.confirm(f"Delete what was said in {conversation_id}", abort=True, err=True)
    request = ForgetConversationRequest(scope=session.scope, conversation_id=conversation_id)

    async def act() -> None:
        async with session.architect() as clients:
            await clients.architect.forget_conversation(request)

    asyncio.run(act())
    Memory.of(session.settings).forget(conversation_id)
    click.echo(f"What was said in {conversation_id} is deleted; its records stay.")


def _get(session: Session, conversation_id: str) -> GetConversationResponse:
    request = GetConversationRequest(scope=session.scope, conversation_id=conversation_id)
    return session.call(lambda clients: clients.queries.get_conversation(request))


def _transcript(session: Session, conversation_id: str) -> tuple[GetTranscriptResponse, AmeideError | None]:
    async def act() -> GetTranscriptResponse:
        async with session.architect() as clients:
            return await clients.architect.get_transcript(
                GetTranscriptRequest(scope=session.scope, conversation_id=conversation_id)
            )

    try:
        return asyncio.run(act()), None
    except (Unreachable, NotFound) as error:
        return GetTranscriptResponse(), error


def _print_text(text: str) -> None:
    for line in text.split("\n"):
        click.echo(harmless(line))


def _print_consent(consent: Consent) -> None:
    facts(
        [
            ("consent", consent.consent_id),
            ("to", word(consent.action.name)),
            ("what", harmless(consent.summary)),
            ("until", clock(consent.expires_at)),
        ]
    )
