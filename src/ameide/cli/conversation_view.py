"""Conversations with an agent as people see them: beside a change, and as the mark at its gates.

Titles and places are what a model or a repository says; they cannot steer the terminal.
"""

from __future__ import annotations

from collections.abc import Sequence

import click

from ameide.cli.cost_view import money
from ameide.cli.output import clock, harmless, heading, table
from ameide.contracts.marks import WARNING
from ameide.contracts.usage import added
from ameide_core_proto.common.v1.metadata_pb import Actor
from ameide_core_proto.transformation.governance.v1.governance_pb import Conversation
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import ArtifactVersion
from ameide_core_proto.transformation.work.v1.work_pb import Usage

_SHOWN = 5
_HEADERS = ("CONVERSATION", "WITH", "TURNS", "LAST", "TOKENS IN", "OUT", "COST", "UNTRUSTED", "TITLE")


def pair(actor: Actor | None) -> str:
    """Who talks: the person, and the agent."""
    known = actor or Actor()
    return f"{known.on_behalf_of} and {known.principal_id}" if known.on_behalf_of else known.principal_id


def origin_of(version: ArtifactVersion) -> str:
    """Where the words of a version come from, where an agent wrote them; empty for a person's own."""
    origin = version.provenance
    if origin is None:
        return ""
    by = f"written by the model {harmless(origin.model)}" if origin.model else "written from a template, by no model"
    where = f" in {origin.conversation_id}" if origin.conversation_id else ""
    return f"{by}{where}, for {pair(version.author)}"


def print_conversations(conversations: Sequence[Conversation], *, summed: bool = False) -> None:
    """A table, the usage of all below it if asked for; nothing when there are none."""
    if not conversations:
        return
    rows = [_row(conversation) for conversation in conversations]
    if summed and len(rows) > 1:
        used = added(one.usage for one in conversations if one.usage)
        rows.append(("", "total", "", "", *_numbers(used), "", ""))
    table(_HEADERS, rows)


def print_marks(conversations: Sequence[Conversation]) -> None:
    """Which conversations may have been steered by what somebody wrote; nothing when none may."""
    if not conversations:
        return
    heading("Mark")
    click.echo(click.style(WARNING, fg="yellow"))
    for conversation in conversations:
        who, title = pair(conversation.opened_by), _about(conversation)
        click.echo(f"- {conversation.conversation_id} of {who}: {title}")
        shown = conversation.untrusted_sources[:_SHOWN]
        for source in shown:
            click.echo(f"    {harmless(source.ref)}, read {clock(source.read_at)}")
        if conversation.untrusted_count > len(shown):
            click.echo(f"    and {conversation.untrusted_count - len(shown)} more")


def _about(conversation: Conversation) -> str:
    """Its title, and the change that it came to be about since it began."""
    title, change_id = harmless(conversation.title), conversation.change_id
    return title if change_id in title else f"{title}, {change_id}"


def _row(conversation: Conversation) -> tuple[str, ...]:
    return (
        conversation.conversation_id,
        pair(conversation.opened_by),
        str(conversation.turns),
        clock(conversation.last_turn_at or conversation.opened_at),
        *_numbers(conversation.usage or Usage()),
        str(conversation.untrusted_count or ""),
        _about(conversation),
    )


def _numbers(used: Usage) -> tuple[str, str, str]:
    return str(used.input_tokens), str(used.output_tokens), money(used.cost_micros)
