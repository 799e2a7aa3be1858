"""`ameide chat`: talk with the Architect agent, at the prompt or from a script."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import cast, get_args

import click

from ameide.cli.chat_commands import Instruction, instruction_of, print_help
from ameide.cli.chat_consent import Consents, Policy
from ameide.cli.chat_memory import Memory
from ameide.cli.chat_turns import Outcome, Subject, Talk
from ameide.cli.chat_view import JsonLines, Terminal
from ameide.cli.options import as_json
from ameide.cli.output import at_a_terminal, harmless, say
from ameide.cli.session import Session, pass_session
from ameide.cli.watching import follow_run
from ameide.errors import AmeideError, InvalidArgument
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetConversationRequest

_MOST = 16_384


@click.command()
@click.argument("text", required=False)
@click.option("--change", "change_id", metavar="CHANGE", default="", help="Talk about this change.")
@click.option("--repo", "repository_id", metavar="NAME", default="", help="Talk about this repository.")
@click.option("--conversation", "conversation_id", metavar="ID", default="", help="Go on with this conversation.")
@click.option("--new", is_flag=True, help="Begin another conversation instead of going on with the last one.")
@click.option("--read-only", is_flag=True, help="Answers only: nothing is proposed, whatever is asked for.")
@click.option(
    "--consent",
    type=click.Choice(get_args(Policy)),
    default="ask",
    show_default=True,
    help="What you say when the agent asks whether it may do something. It is shown in any case.",
)
@click.option("-y", "--yes", is_flag=True, help="The same as --consent give.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the result of a work that was asked for.")
@click.option("--follow", is_flag=True, help="Stay until a run that this started ends.")
@click.option(
    "--turn-id",
    metavar="KEY",
    default="",
    help="Idempotency key of the turn: the same one again goes on where it was. Default: a new one.",
)
@as_json
@pass_session
def chat(
    session: Session,
    text: str | None,
    change_id: str,
    repository_id: str,
    conversation_id: str,
    new: bool,
    read_only: bool,
    consent: str,
    yes: bool,
    no_wait: bool,
    follow: bool,
    turn_id: str,
    as_json: bool,
) -> None:
    """Ask the Architect agent, and let it draft, submit and start what you agree to.

    TEXT is one message, or one of the commands that `/help` lists; `-` reads it from standard input. Without TEXT it
    is a conversation at the prompt, or else a turn that was not ended goes on.

    Exit code 1 when something is refused, waits for a consent that nobody gave, is not at its end, or a run that was
    followed did not complete; 3 when the agent
    does not answer.
    """
    if new and conversation_id:
        raise click.UsageError("--new and --conversation exclude each other.")
    talk = Talk(
        session,
        _subject(session, change_id, repository_id, conversation_id, new=new),
        JsonLines() if as_json else Terminal(),
        Consents(session, "give" if yes else cast("Policy", consent), shown=not as_json),
        read_only=read_only,
        wait=not no_wait,
    )
    piped = text == "-" or (text is None and not sys.stdin.isatty())
    said = sys.stdin.read(_MOST + 1).strip() if piped else (text or "").strip()
    if len(said) > _MOST:
        raise InvalidArgument(f"it has more than {_MOST} characters", field="TEXT", remedy="Say it in parts")
    if not said and text is None and not piped:
        _at_the_prompt(session, talk, as_json=as_json)
        return
    # What was agreed to beforehand is for what is said now, not for a command that still waits from before.
    outcome = _resumed(talk, asking=bool(said))
    if said:
        outcome = _one(session, talk, said, turn_id, as_json=as_json)
    elif outcome is None:
        raise click.UsageError("There is nothing to say: give TEXT, or run it at a terminal.")
    if outcome is not None and outcome.waits:
        _tell_waiting(talk, outcome)
        raise click.exceptions.Exit(1)
    if outcome is not None and outcome.unfinished:
        say("Its time was used up: `ameide chat` goes on with it.")
        raise click.exceptions.Exit(1)
    if follow and outcome is not None:
        _follow(session, talk, outcome, as_json=as_json)


def _subject(session: Session, change_id: str, repository_id: str, conversation_id: str, *, new: bool) -> Subject:
    """The conversation that is named, or the newest one about the same, or a new one."""
    if conversation_id:
        request = GetConversationRequest(scope=session.scope, conversation_id=conversation_id)
        found = session.call(lambda clients: clients.queries.get_conversation(request)).conversation
        about = found.change_id if found is not None else ""
        return Subject(change_id or about, repository_id, conversation_id)
    subject = Subject(change_id, repository_id)
    if new:
        return subject
    former = Memory.of(session.settings).last(subject.key)
    if former:
        say(f"Going on with {former}; --new begins another one.")
    return Subject(change_id, repository_id, former)


def _one(session: Session, talk: Talk, line: str, turn_id: str = "", *, as_json: bool) -> Outcome | None:
    """What one line asks for; None for what needs no agent."""
    # What a person is told and asked meanwhile is no event of the turn.
    aside = contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()
    name, _, rest = line.partition(" ")
    match name:
        case "/help":
            with aside:
                print_help()
        case "/follow":
            change_id = rest.strip() or talk.subject.change_id
            if not change_id:
                raise InvalidArgument("the conversation is about no change yet", field="TEXT", remedy="/follow CHANGE")
            code = session.call(lambda clients: follow_run(session, clients, change_id, as_json=as_json))
            if code:
                raise click.exceptions.Exit(code)
        case _:
            with aside:
                instruction: Instruction = instruction_of(session, line, talk.subject.change_id)
            return asyncio.run(talk.say(instruction, turn_id))
    return None


def _resumed(talk: Talk, *, asking: bool = False) -> Outcome | None:
    """The turn that was not ended, gone on with; it comes before anything else is said."""
    request = talk.unfinished
    if request is None:
        return None
    say(f"Going on with the turn {request.turn_id}, which was not ended.")
    try:
        return asyncio.run(talk.go_on(request, asking=asking))
    except AmeideError as error:
        if error.retry:
            raise
        say(f"It cannot go on: {harmless(str(error))}")
        return None


def _at_the_prompt(session: Session, talk: Talk, *, as_json: bool) -> None:
    say("Say what you want to know, or /help. Ctrl-C ends a turn, Ctrl-D the conversation.")
    first = True
    while True:
        try:
            if first:
                first = False
                _resumed(talk)
                continue
            line = click.prompt("you", prompt_suffix="> ", default="", show_default=False, err=as_json).strip()
        except (click.Abort, KeyboardInterrupt):
            click.echo(err=True)
            return
        if line in ("/quit", "/exit"):
            return
        if not line:
            continue
        try:
            outcome = _one(session, talk, line, as_json=as_json)
            if outcome is not None and outcome.waits:
                _tell_waiting(talk, outcome)
        except (click.Abort, KeyboardInterrupt):
            say("Stopped. What was reached is kept; what you say next takes its place.")
        except click.exceptions.Exit:
            # A run that was followed has failed, and the timeline said so.
            continue
        except AmeideError as error:
            say(f"error: {harmless(str(error))}")


def _tell_waiting(talk: Talk, outcome: Outcome) -> None:
    consent_id = outcome.ended.waiting_for_consent_id if outcome.ended else ""
    conversation_id = talk.subject.conversation_id
    how = "answer it there" if at_a_terminal() else "add --consent give or --consent decline"
    say(f"It waits for your consent {consent_id}: ameide chat --conversation {conversation_id} ({how}).")


def _follow(session: Session, talk: Talk, outcome: Outcome, *, as_json: bool) -> None:
    started = [effect for effect in outcome.effects if effect.process_instance_id]
    change_id = next((effect.change_id for effect in started if effect.change_id), talk.subject.change_id)
    if not started or not change_id:
        say("No run was started; there is nothing to follow.")
        return
    code = session.call(lambda clients: follow_run(session, clients, change_id, as_json=as_json))
    raise click.exceptions.Exit(code)
